"""The playground: ask anything that the hub answers, see the answer as a program would, take the call along as curl."""

import json
from typing import Any

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.calls import Called, call, curl, tell_refusal
from ossature.kernel.console.parts import (
    button,
    code,
    document,
    empty,
    field,
    lamp,
    link,
    panel,
    select,
    tabs,
    tag,
    toast,
)
from ossature.kernel.console.shell import heading
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.services.hub.pages.questions import BY_ID, Question, operation_select

WORDS = Words(
    "hub.playground",
    {
        "title": "Playground",
        "note": "Real calls on your account, through the same door as everybody's.",
        "data": "Data",
        "chat": "Chat",
        "question": "Question",
        "operation": "Operation",
        "ask": "Ask",
        "explain": "Who would be asked?",
        "answer": "Answer",
        "nothing": "No answer yet",
        "nothing_text": "Fill in the question and ask. The answer stands here, with who gave it, how long it took and what it cost.",
        "curl": "The same call in a shell",
        "copy": "Copy as curl",
        "copied": "Copied",
        "by": "by {provider}",
        "cache": "cache {cache}",
        "bytes": Message("{count} byte", plural="{count} bytes"),
        "model": "Model",
        "message": "Message",
        "send": "Send",
        "clear": "Begin anew",
        "talk": "Conversation",
        "talk_note": "streamed as it is written",
        "no_talk": "Say something",
        "no_talk_text": "The answer is streamed from the first model that can give one; the next one is asked when it cannot.",
        "told": "{model}, first word after {first}, {whole} in all",
        "told_tokens": Message(
            "{model}, first word after {first}, {whole} in all, {count} token",
            plural="{model}, first word after {first}, {whole} in all, {count} tokens",
        ),
        "status": "Status {status}",
    },
)

_TALK_LIMIT_S = 180.0
_CHAT = "/v1/chat/completions"


async def playground(visit: Visit) -> None:
    """Draw the page."""
    chat = visit.query.get("tab") == "chat"
    heading(WORDS("title"), note=WORDS("note"))
    choices = [("data", WORDS("data")), ("chat", WORDS("chat"))]
    tabs(choices, "chat" if chat else "data", lambda value: f"/playground?tab={value}")
    with tag("div", cls="o-grid").style("margin-top: 16px"):
        if chat:
            _Talk(visit).draw()
        else:
            _Desk(visit).draw()


class _Desk:
    """A question of data and its answer."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        wanted = visit.query.get("operation", "")
        self.operation = wanted if wanted in BY_ID else next(iter(BY_ID))
        self.question: Question | None = None

    def draw(self) -> None:
        """The form at the left, the answer at the right."""
        with panel(WORDS("question"), cls="o-w4"), tag("div", cls="o-form"):
            chosen = operation_select(WORDS("operation"), self.operation)
            chosen.on_value_change(lambda event: self.choose(event.value))
            self.form = tag("div", cls="o-form")
            with tag("div", cls="o-row"):
                button(WORDS("ask"), self.ask, kind="main")
                button(WORDS("copy"), self.copy)
                self.why = link(WORDS("explain"), f"/route?operation={self.operation}")
        with panel(WORDS("answer"), cls="o-w8"):
            self.place = tag("div", cls="o-stack", aria_live="polite")
            with self.place:
                empty(WORDS("nothing"), WORDS("nothing_text"))
        self.choose(self.operation)

    def choose(self, operation: str) -> None:
        """Show the fields of another question."""
        self.operation = operation
        self.why.props["href"] = f"/console/route?operation={operation}"
        self.form.clear()
        with self.form:
            self.question = Question(operation)

    @property
    def path(self) -> str:
        """Where this is asked."""
        return f"/v1/hub/{self.operation.replace('.', '/', 1)}"

    def body(self) -> dict[str, Any]:
        """What is asked. Raises: InvalidInput."""
        return self.question.value() if self.question is not None else {}

    async def copy(self) -> None:
        """Take the call along."""
        ui.clipboard.write(curl(self.visit.origin, "POST", self.path, self.body()))
        toast(WORDS("copied"), tone="good")

    async def ask(self) -> None:
        """Ask, and show what came."""
        body = self.body()
        answer = await call("POST", self.path, body)
        self.place.clear()
        with self.place:
            _answer(answer)
            tag("div", WORDS("curl"), "o-label")
            code(curl(self.visit.origin, "POST", self.path, body))


def _answer(answer: Called) -> None:
    said = answer.document
    with tag("div", cls="o-row"):
        lamp("good" if answer.good else "bad", WORDS("status", status=answer.status))
        tag("span", say.latency(answer.ms), "o-chip")
        tag("span", WORDS("bytes", count=answer.bytes), "o-chip")
        meta = said.get("meta", {}) if isinstance(said, dict) else {}
        if meta:
            tag("span", WORDS("by", provider=meta["provider"]), "o-chip")
            tag("span", WORDS("cache", cache=meta["cache"]), "o-chip")
    if isinstance(said, dict) and answer.good:
        document(said.get("data"))
        document(meta)
    else:
        document(said)


class _Talk:
    """A conversation with a model."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.said: list[dict[str, str]] = []

    def draw(self) -> None:
        """The conversation, and the line to go on with it."""
        with panel(WORDS("talk"), note=WORDS("talk_note"), cls="o-w8"), tag("div", cls="o-stack"):
            self.place = tag("div", cls="o-talk", aria_live="polite", role="log")
            with self.place:
                empty(WORDS("no_talk"), WORDS("no_talk_text"))
            with tag("div", cls="o-row").style("flex-wrap: nowrap"):
                self.line = field(WORDS("message")).style("flex: 1").on("keydown.enter", self.send)
                button(WORDS("send"), self.send, kind="main")
        with panel(cls="o-w4"), tag("div", cls="o-form"):
            self.model = select(WORDS("model"), ["auto"], value="auto")
            with tag("div", cls="o-row"):
                button(WORDS("copy"), self.copy)
                button(WORDS("clear"), self.clear)
            self.note = tag("div", cls="o-stack")
        ui.timer(0.1, self.load_models, once=True)

    async def load_models(self) -> None:
        """Fill the choice with what can be asked now."""
        answer = await call("GET", "/v1/models")
        if not answer.good:
            tell_refusal(answer)
            return
        names = [model["id"] for model in answer.document["data"]]
        self.model.set_options(names or ["auto"], value="auto" if "auto" in names or not names else names[0])

    def body(self) -> dict[str, Any]:
        """The request as it stands."""
        pending = self.line.value.strip()
        more = [{"role": "user", "content": pending}] if pending else []
        return {"model": self.model.value, "messages": [*self.said, *more]}

    async def copy(self) -> None:
        """Take the call along."""
        ui.clipboard.write(curl(self.visit.origin, "POST", _CHAT, self.body()))
        toast(WORDS("copied"), tone="good")

    async def clear(self) -> None:
        """Forget the conversation."""
        self.said.clear()
        self.place.clear()
        self.note.clear()

    async def send(self) -> None:
        """Say something, and show the answer as it is written."""
        text = self.line.value.strip()
        if not text:
            return
        body = self.body()
        if not self.said:
            self.place.clear()
        self.line.set_value("")
        with self.place:
            tag("div", text, "o-said o-mine")
            bubble = tag("div", "", "o-said o-theirs")
        request = {**body, "stream_options": {"include_usage": True}}
        told = await ui.run_javascript(
            f"return await ossature.tell({json.dumps(bubble.html_id)}, {json.dumps(_CHAT)}, {json.dumps(request)})",
            timeout=_TALK_LIMIT_S,
        )
        if told["problem"]:
            bubble.delete()
            tell_refusal(Called(told["status"], told["ms"], 0, told["problem"], {}))
            return
        bubble._text = told["text"]  # noqa: SLF001 - written by the browser already; a later drawing must keep it
        self.said += [{"role": "user", "content": text}, {"role": "assistant", "content": told["text"]}]
        self.note.clear()
        with self.note:
            tag("p", _told(told), "o-dim")
            code(curl(self.visit.origin, "POST", _CHAT, body))


def _told(told: dict[str, Any]) -> str:
    facts = {"model": told["model"], "first": say.latency(told["first_ms"]), "whole": say.latency(told["ms"])}
    tokens = (told["usage"] or {}).get("total_tokens")
    return WORDS("told_tokens", count=int(tokens), **facts) if tokens else WORDS("told", **facts)
