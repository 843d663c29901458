"""Jobs: what waits, runs and has ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode
from uuid import UUID

from nicegui import ui
from nicegui.element import Element

from ossature.kernel.console import say
from ossature.kernel.console.parts import button, drawn, empty, field, lamp, link, meter, panel, tabs, tag
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.console.work import TONES
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.i18n.words import Words
from ossature.kernel.jobs.domain import JobNews, JobNotFound, JobView, State
from ossature.kernel.jobs.queue import Jobs

WORDS = Words(
    "console.jobs",
    {
        "title": "Jobs",
        "note": "Work outside of requests. Each is kept in the database from the moment it is handed over.",
        "all": "All",
        "queued": "Queued",
        "leased": "Running",
        "failed": "Waits to retry",
        "paused": "Paused",
        "succeeded": "Done",
        "dead": "Dead letters",
        "cancelled": "Cancelled",
        "job": "Job",
        "state": "State",
        "queue": "Queue",
        "progress": "Progress",
        "attempts": "Attempts",
        "created": "Handed over",
        "took": "Took",
        "error": "Error",
        "mine": "Of this tenant",
        "house": "Of the house",
        "none": "No jobs here",
        "none_text": "Jobs appear when a request hands work over, or a schedule fires. Ended ones are kept for a week.",
        "none_dead": "No dead letters",
        "none_dead_text": "A job comes here when its last attempt has failed. None has.",
        "schedules": "Look at the schedules",
        "older": "Older",
        "newest": "Back to the newest",
        "name": "Name of a job",
        "find": "Find",
        "all_of_kind": "all jobs of this kind",
    },
)

_PAGE = 50
_SELDOM_S = 60.0


async def jobs(visit: Visit) -> None:
    """Draw the page."""
    of_house = visit.query.get("of") == "house" and visit.may("read:platform")
    shown: list[JobView] = []
    cells: dict[UUID, _Row] = {}
    columns = _columns(visit, cells)

    def actions() -> None:
        if visit.may("read:platform"):
            choices = [("", WORDS("mine")), ("house", WORDS("house"))]
            tabs(choices, "house" if of_house else "", lambda value: _path(visit, of=value, before=""))

    heading(WORDS("title"), note=WORDS("note"), actions=actions)

    async def draw() -> None:
        shown[:] = await _find(visit, of_house=of_house)
        cells.clear()
        _list(visit, shown, columns)

    async def hear(newest: Sequence[JobNews], more: int) -> None:
        ours = [news for news in newest if news.tenant_id == (SYSTEM_TENANT_ID if of_house else visit.tenant.id)]
        if not _advance(cells, ours) or more:
            place.soon()

    with panel():
        with tag("div", cls="o-panel-head"):
            states = [("", WORDS("all")), *((state.value, WORDS(state.value)) for state in State)]
            tabs(states, visit.query.get("state", ""), lambda value: _path(visit, state=value, before=""))
            with tag("div", cls="o-actions"):
                _finder(visit)
                exports("jobs", lambda: shown, columns)
        place = await drawn(_SELDOM_S, draw)
    visit.feed.on_news(hear)


@dataclass(slots=True)
class _Row:
    """A job that is shown, and the cell that says how far it is."""

    job: JobView
    progress: Element


def _advance(cells: Mapping[UUID, _Row], newest: Sequence[JobNews]) -> bool:
    """Draw how far shown jobs are; whether that is all there is to draw, so that no list is to be read anew."""
    done = True
    for news in newest:
        row = cells.get(news.id)
        if row is None or row.job.state is not news.state:
            done = False
            continue
        row.job = replace(row.job, percent=news.percent, message=news.message)
        row.progress.clear()
        with row.progress:
            _progress(row.job)
    return done


def _finder(visit: Visit) -> None:
    async def find() -> None:
        ui.navigate.to(_path(visit, name=name.value.strip(), before=""))

    name = field(WORDS("name"), value=visit.query.get("name", "")).on("keydown.enter", find).style("width: 180px")
    button(WORDS("find"), find, small=True)


def _path(visit: Visit, **changed: str) -> str:
    known = {name: visit.query.get(name, "") for name in ("state", "queue", "name", "of", "before")}
    said = {name: value for name, value in (known | changed).items() if value}
    return f"/jobs?{urlencode(said)}" if said else "/jobs"


async def _find(visit: Visit, *, of_house: bool) -> Sequence[JobView]:
    state, before = visit.query.get("state", ""), visit.query.get("before", "")
    async with visit.ctx("read:jobs", of_house=of_house) as ctx:
        return await ctx.port(Jobs).list(
            ctx.db,
            ctx.tenant.id,
            state=State(state) if state in set(State) else None,
            name=visit.query.get("name") or None,
            queue=visit.query.get("queue") or None,
            before=id_in(before),
            limit=_PAGE,
        )


def id_in(text: str) -> UUID | None:
    """The id that stands in an address; None for anything else that somebody wrote there."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _list(visit: Visit, shown: Sequence[JobView], columns: Sequence[Column[JobView]]) -> None:
    if not shown:
        key = "none_dead" if visit.query.get("state") == State.DEAD else "none"
        empty(WORDS(key), WORDS(f"{key}_text"), lambda: link(WORDS("schedules"), "/schedules", "o-button"))
        return
    table(shown, columns)
    if len(shown) == _PAGE or visit.query.get("before"):
        with tag("div", cls="o-below"):
            if visit.query.get("before"):
                link(WORDS("newest"), _path(visit, before=""))
            if len(shown) == _PAGE:
                link(WORDS("older"), _path(visit, before=str(shown[-1].id)))


def _columns(visit: Visit, cells: dict[UUID, _Row]) -> list[Column[JobView]]:
    def progress(job: JobView) -> None:
        with tag("div") as place:
            _progress(job)
        cells[job.id] = _Row(job, place)

    return [
        Column(WORDS("job"), lambda job: job.name, path=lambda job: f"/jobs/{job.id}"),
        Column(
            WORDS("state"),
            lambda job: WORDS(job.state.value),
            lambda job: lamp(TONES[job.state], WORDS(job.state.value)),
            tight=True,
        ),
        Column(WORDS("progress"), _progress_text, progress),
        Column(WORDS("queue"), lambda job: job.queue),
        Column(WORDS("attempts"), lambda job: f"{job.attempt} / {job.attempts}", numeric=True),
        Column(WORDS("took"), lambda job: say.span(took_s(job)), numeric=True),
        Column(WORDS("created"), lambda job: say.instant(job.created_at, visit.zone), numeric=True),
    ]


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """A job by its id, and the kinds of jobs by their names."""
    if not text:
        return []
    sought = id_in(text)
    if sought is None:
        names = sorted(visit.house.port(Jobs).registry)
        note = WORDS("all_of_kind")
        return [Hit(title=one, note=note, path=f"/jobs?{urlencode({'name': one})}") for one in names if fits(text, one)]
    try:
        found, _ = await look(visit, sought)
    except JobNotFound:
        return []
    return [Hit(title=found.name, note=WORDS(found.state.value), path=f"/jobs/{found.id}")]


async def look(visit: Visit, job_id: UUID) -> tuple[JobView, bool]:
    """The job, and whether it is the house's own. Raises: JobNotFound."""
    async with visit.ctx("read:jobs") as ctx:
        try:
            return await ctx.port(Jobs).get(ctx.db, ctx.tenant.id, job_id), False
        except JobNotFound:
            if not visit.may("read:platform"):
                raise
    async with visit.ctx("read:jobs", of_house=True) as ctx:
        return await ctx.port(Jobs).get(ctx.db, ctx.tenant.id, job_id), True


def took_s(job: JobView) -> float | None:
    """How long the last attempt took, if it has ended."""
    if job.started_at is None or job.finished_at is None:
        return None
    return max(0.0, (job.finished_at - job.started_at).total_seconds())


def _progress_text(job: JobView) -> str:
    return job.error or job.message or ("" if job.percent is None else say.share(job.percent / 100))


def _progress(job: JobView) -> None:
    if job.state in {State.DEAD, State.FAILED} and job.error:
        tag("span", job.error.strip().splitlines()[-1][:120], "o-bad")
        return
    if job.percent is not None and job.state in {State.LEASED, State.PAUSED, State.FAILED}:
        meter(job.percent / 100)
    if job.message:
        tag("span", job.message, "o-dim")
