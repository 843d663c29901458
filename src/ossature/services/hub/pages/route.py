"""A route explained: who would be asked now, in which order, and why not the others."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.calls import call, tell_refusal
from ossature.kernel.console.parts import Tone, button, lamp, link, panel, select, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words
from ossature.kernel.outbound.policy import WEIGHTS
from ossature.services.hub.pages.questions import BY_ID, Question, operation_select

WORDS = Words(
    "hub.route",
    {
        "title": "Route",
        "note": "Who would be asked now. Nothing is sent and nothing reserved for it.",
        "providers": "Providers",
        "question": "Question",
        "operation": "Operation",
        "policy": "Policy",
        "explain": "Explain",
        "order": "In this order",
        "cached": "An answer is in the cache: nobody would be asked.",
        "not_cached": "No answer is in the cache.",
        "nobody": "Nobody can be asked.",
        "passed": "Passed by",
        "health": "health",
        "latency": "latency",
        "scarcity": "plenty",
    },
)

_TONES: dict[str, Tone] = {"health": "good", "latency": "info", "scarcity": "warn"}


async def route(visit: Visit) -> None:
    """Draw the page."""
    first = visit.query.get("operation", "")
    heading(WORDS("title"), note=WORDS("note"), trail=[(WORDS("providers"), "/providers")])
    questions: list[Question] = []

    def ask() -> None:
        form.clear()
        with form:
            questions[:] = [Question(chosen.value)]

    async def explain() -> None:
        asked = {"operation": chosen.value, "query": questions[0].value(), "policy": policy.value}
        answer = await call("POST", "/v1/hub/route/explain", asked)
        place.clear()
        if not answer.good:
            tell_refusal(answer)
            return
        with place:
            _explanation(answer.document)

    with tag("div", cls="o-grid"):
        with panel(WORDS("question"), cls="o-w4"), tag("div", cls="o-form"):
            chosen = operation_select(WORDS("operation"), first if first in BY_ID else next(iter(BY_ID)))
            chosen.on_value_change(ask)
            policy = select(WORDS("policy"), [name for name in WEIGHTS if name != "pinned"], value="free_first")
            form = tag("div", cls="o-form")
            ask()
            button(WORDS("explain"), explain, kind="main")
        with panel(WORDS("order"), cls="o-w8"):
            place = tag("div", cls="o-stack", aria_live="polite")
    ui.timer(0.1, explain, once=True)


def _explanation(found: Mapping[str, Any]) -> None:
    asked = [each for each in found["candidates"] if each["score"] is not None]
    passed = [each for each in found["candidates"] if each["score"] is None]
    tag("span", WORDS("cached" if found["cached"] else "not_cached"), "o-dim")
    if not asked:
        lamp("bad", WORDS("nobody"))
    else:
        with tag("div", cls="o-row"):
            for name, tone in _TONES.items():
                lamp(tone, WORDS(name))
        with tag("div", cls="o-race"):
            for place, each in enumerate(asked, 1):
                _candidate(place, each, WEIGHTS[found["policy"]])
    if passed:
        tag("div", WORDS("passed"), "o-label")
        with tag("div", cls="o-race"):
            for each in passed:
                tag("span", "")
                link(each["provider"], f"/providers/{each['provider']}")
                tag("span", each["refused"], "o-why")


def _candidate(place: int, each: Mapping[str, Any], weights: Sequence[float]) -> None:
    """One candidate: its score as a bar, made of what it is made of."""
    tag("span", str(place), "o-mono o-dim")
    link(each["provider"], f"/providers/{each['provider']}")
    with tag("span", cls="o-parts"):
        for (name, tone), weight in zip(_TONES.items(), weights, strict=True):
            share = weight * each["parts"].get(name, 0.0)
            tag("i", title=f"{WORDS(name)} {say.decimal(share, 2)}").style(
                f"width: {share * 100:.1f}%; background: var(--{tone})"
            )
    tag("span", say.decimal(each["score"], 2), "o-mono")
