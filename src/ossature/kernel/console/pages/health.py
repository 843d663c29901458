"""Health: every part of the house, what was found, and what can be done about it."""

from ossature.kernel.console import say
from ossature.kernel.console.parts import Tone, drawn, empty, lamp, panel, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words
from ossature.kernel.observe.health import Finding, Inspector
from ossature.kernel.service import Health

WORDS = Words(
    "console.health",
    {
        "title": "Health",
        "note": "What each part of the house says of itself, looked at anew every ten seconds.",
        "part": "Part",
        "state": "State",
        "detail": "What was found",
        "advice": "What can be done",
        "took": "Looking took",
        "ok": "ok",
        "degraded": "degraded",
        "down": "down",
        "none": "No part can be looked at",
        "none_text": "A service brings checks of its parts. None of those that are installed has one.",
    },
)
TONES: dict[Health, Tone] = {Health.OK: "good", Health.DEGRADED: "warn", Health.DOWN: "bad"}


async def health(visit: Visit) -> None:
    """Draw the page."""
    shown: list[Finding] = []
    columns = _columns()
    heading(WORDS("title"), note=WORDS("note"), actions=lambda: exports("health", lambda: shown, columns))

    async def draw() -> None:
        await visit.identity("read:health")
        report = await visit.house.port(Inspector).everything()
        shown[:] = sorted(report.findings, key=lambda one: (one.health is Health.OK, one.name))
        if shown:
            table(shown, columns)
        else:
            empty(WORDS("none"), WORDS("none_text"))

    with panel():
        await drawn(10.0, draw)


def _columns() -> list[Column[Finding]]:
    return [
        Column(WORDS("part"), lambda one: one.name, lambda one: tag("span", one.name, id=f"part-{one.name}")),
        Column(
            WORDS("state"),
            lambda one: WORDS(one.health.value),
            lambda one: lamp(TONES[one.health], WORDS(one.health.value)),
            tight=True,
        ),
        Column(WORDS("detail"), lambda one: one.detail),
        Column(WORDS("advice"), lambda one: one.advice),
        Column(WORDS("took"), lambda one: say.latency(one.latency_ms), numeric=True),
    ]
