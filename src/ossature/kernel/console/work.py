"""Long work that somebody began: a note with a bar at the corner of every page that they have open, until it has ended.

    await visit.follow(job_id, "files.sweep", of_house=True)

What is followed is remembered in this process, which is the only one that has pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from nicegui import ui
from nicegui.element import Element

from ossature.kernel.console import say
from ossature.kernel.console.feed import Feed
from ossature.kernel.console.parts import Tone, button, lamp, link, tag
from ossature.kernel.i18n.words import Words
from ossature.kernel.jobs.domain import OPEN, JobNews, State

WORDS = Words(
    "console.work",
    {
        "region": "Work under way",
        "dismiss": "Dismiss",
        "look": "Look",
        "progress": "Progress of {name}",
        "queued": "Waits",
        "leased": "Runs",
        "failed": "Waits to retry",
        "paused": "Paused",
        "succeeded": "Done",
        "dead": "Gave up",
        "cancelled": "Cancelled",
    },
)

TONES: dict[State, Tone] = {
    State.QUEUED: "info",
    State.LEASED: "busy",
    State.FAILED: "warn",
    State.PAUSED: "off",
    State.SUCCEEDED: "good",
    State.DEAD: "bad",
    State.CANCELLED: "off",
}
_LINGER_S = 8.0
_MOST = 5

Person = tuple[UUID, str]
"""Somebody in a tenant: its id, and who it is there."""


@dataclass(slots=True)
class Followed:
    """What everybody in this process follows, and the open pages that show it."""

    jobs: dict[Person, dict[UUID, JobNews]] = field(default_factory=dict)
    stacks: dict[Person, list["Toasts"]] = field(default_factory=dict)

    def follow(self, person: Person, news: JobNews) -> None:
        """Show a job on the pages of somebody."""
        mine = self.jobs.setdefault(person, {})
        mine[news.id] = news
        while len(mine) > _MOST:
            self.forget(person, next(iter(mine)))
        for stack in tuple(self.stacks.get(person, ())):
            stack.show(news)

    def hear(self, person: Person, news: JobNews) -> None:
        """Remember how a followed job is."""
        if news.id in self.jobs.get(person, {}):
            self.jobs[person][news.id] = news

    def forget(self, person: Person, job_id: UUID) -> None:
        """Show a job no longer."""
        mine = self.jobs.get(person, {})
        mine.pop(job_id, None)
        if not mine:
            self.jobs.pop(person, None)
        for stack in tuple(self.stacks.get(person, ())):
            stack.drop(job_id)


FOLLOWED = Followed()


class Toasts(Element):
    """The notes on one open page. except_for: a job that the page itself is about."""

    def __init__(self, person: Person, feed: Feed, *, except_for: str = "") -> None:
        super().__init__("div")
        self.classes("o-toasts")
        self.props["role"], self.props["aria-label"] = "region", WORDS("region")
        self._person = person
        self._except_for = except_for
        self._shown: dict[UUID, _Toast] = {}
        FOLLOWED.stacks.setdefault(person, []).append(self)
        self.client.on_delete(self._leave)
        feed.on_news(self._hear)
        for news in tuple(FOLLOWED.jobs.get(person, {}).values()):
            self.show(news)

    def show(self, news: JobNews) -> None:
        """Draw a job, or draw how it is now."""
        if str(news.id) == self._except_for:
            return
        toast = self._shown.get(news.id)
        if toast is None:
            with self:
                toast = self._shown[news.id] = _Toast(news, lambda: FOLLOWED.forget(self._person, news.id))
        toast.tell(news)
        if news.state not in OPEN and news.state is not State.DEAD:
            with self:
                ui.timer(_LINGER_S, lambda: FOLLOWED.forget(self._person, news.id), once=True)

    def drop(self, job_id: UUID) -> None:
        """Take a note away."""
        toast = self._shown.pop(job_id, None)
        if toast is not None and not toast.is_deleted:
            toast.delete()

    async def _hear(self, newest: Sequence[JobNews], more: int) -> None:
        del more
        for news in newest:
            FOLLOWED.hear(self._person, news)
            if news.id in self._shown:
                self.show(news)

    def _leave(self) -> None:
        stacks = FOLLOWED.stacks.get(self._person, [])
        if self in stacks:
            stacks.remove(self)
        if not stacks:
            FOLLOWED.stacks.pop(self._person, None)


class _Toast(Element):
    """One note. The links in it stay the same elements while it is told anew: a finger or the keyboard may be on them."""

    def __init__(self, news: JobNews, dismiss: Callable[[], None]) -> None:
        super().__init__("section")
        self.classes("o-toast")
        self.props["aria-label"] = news.name

        async def press() -> None:
            dismiss()

        with self:
            with tag("div", cls="o-toast-head"):
                link(news.name, f"/jobs/{news.id}", "o-cut")
                button(WORDS("dismiss"), press, small=True)
            self._told = tag("div", cls="o-toast-told", aria_live="polite")
            self._bar = ProgressBar(WORDS("progress", name=news.name))

    def tell(self, news: JobNews) -> None:
        """Say how it is."""
        self._told.clear()
        with self._told:
            lamp(TONES[news.state], WORDS(news.state.value))
            tag("span", news.message or "", "o-dim o-cut")
            tag("span", "" if news.percent is None else say.share(news.percent / 100), "o-mono o-dim")
        self._bar.show(news)


class ProgressBar(Element):
    """How far a job is; without a number it moves back and forth while the job runs."""

    def __init__(self, label: str) -> None:
        super().__init__("div")
        self.classes("o-bar")
        self.props.update({"role": "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100})
        with self:
            self._part = tag("i")

    def show(self, news: JobNews) -> None:
        """Draw it."""
        percent = 100.0 if news.state is State.SUCCEEDED else news.percent
        self._part.classes(replace={State.DEAD: "o-bad", State.SUCCEEDED: "o-good"}.get(news.state, ""))
        if percent is None and news.state is State.LEASED:
            self.props.pop("aria-valuenow", None)
            self._part.classes("o-unknown").style("width: 30%")
        else:
            self.props["aria-valuenow"] = round(percent or 0.0)
            self._part.style(f"width: {percent or 0.0:.1f}%")
