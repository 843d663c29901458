"""The first page: how the house is, what it does, and what needs a person."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from ossature.kernel.console import say
from ossature.kernel.console.attention import Matter, matters
from ossature.kernel.console.charts import lines, stacked
from ossature.kernel.console.parts import Tone, drawn, empty, lamp, link, panel, reading, tag
from ossature.kernel.console.pictures import spark
from ossature.kernel.console.pulse import STEP_S, Beat, added, quantile_ms
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports
from ossature.kernel.console.toolkit import pulse
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.jobs.domain import QueueView
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.observe.health import Finding, Inspector, Report
from ossature.kernel.quotas import store as usage
from ossature.kernel.quotas.domain import period_start
from ossature.kernel.service import Health

WORDS = Words(
    "console.home",
    {
        "title": "Overview",
        "note": "Tenant {tenant}, plan {plan}",
        "well": "All parts are well.",
        "look": Message("One part needs a look.", plural="{count} parts need a look."),
        "attention": "What needs you",
        "nothing": "Nothing needs you right now.",
        "requests": "Requests",
        "per_min": "/min",
        "last_minute": "over the last minute",
        "errors": "Failed",
        "errors_note": "{failed} of {all} in half an hour",
        "latency": "Latency p95",
        "latency_note": "p50 {p50}, p99 {p99}",
        "cost": "Cost today",
        "cost_note": Message("one metered use", plural="{count} metered uses"),
        "waiting": "Jobs due",
        "waiting_note": "{running} run, {later} wait for their time",
        "traffic": "Traffic",
        "of_process": "requests of this process, by ten seconds",
        "speed": "Latency",
        "speed_note": "milliseconds within which requests were answered",
        "answered": "answered",
        "refused": "refused (4xx)",
        "failed": "failed (5xx)",
        "health": "Parts of the house",
        "queues": "Queues",
        "due": Message("{count} due", plural="{count} due"),
        "oldest": "oldest waits {span}",
        "no_traffic": "No requests yet",
        "no_traffic_text": "Half an hour of traffic is drawn here as it comes. Ask something in the playground, or call the API with a key.",
        "no_traffic_act": "Open the API reference",
        "no_queues": "No queue holds anything.",
        "open": "Open",
        "advice": "What can be done",
        "queue": "Queue",
        "running": "Running",
        "later": "Wait for their time",
        "longest": "Longest wait",
        "ok": "ok",
        "degraded": "degraded",
        "down": "down",
    },
)

_TONES: dict[Health, Tone] = {Health.OK: "good", Health.DEGRADED: "warn", Health.DOWN: "bad"}
_MINUTE_STEPS = int(60 / STEP_S)
_LEAST_COLUMNS = 30


async def overview(visit: Visit) -> None:
    """Draw the page."""
    heading(WORDS("title"), note=WORDS("note", tenant=visit.tenant.name, plan=visit.tenant.plan))
    await drawn(5.0, lambda: _draw(visit), "o-stack")


async def _draw(visit: Visit) -> None:
    report = await visit.house.port(Inspector).everything() if visit.may("read:health") else None
    found = await matters(visit, report)
    queues = await _queues(visit)
    cost, events = await _cost(visit)
    beats = list(pulse().beats) if visit.may("read:platform") else None
    with tag("div", cls="o-stack"):
        _attention(found)
        with tag("div", cls="o-readings"):
            if beats is not None:
                _instruments(beats)
            if visit.may("read:usage"):
                note = WORDS("cost_note", count=events)
                reading(WORDS("cost"), say.money(cost, "USD"), note=note, path="/cost")
            if queues is not None:
                _waiting(queues)
        with tag("div", cls="o-grid"):
            if beats is not None:
                _traffic(visit, beats)
            if report is not None:
                with panel(WORDS("health"), note=_summary(report), cls="o-w7"), tag("div", cls="o-rack"):
                    for finding in report.findings:
                        _part(finding)
            if queues is not None:
                with panel(
                    WORDS("queues"), cls="o-w5", actions=lambda: exports("queues", lambda: queues, _queue_columns())
                ):
                    _queue_bars(queues)


async def _queues(visit: Visit) -> Sequence[QueueView] | None:
    if not visit.may("read:platform"):
        return None
    async with visit.ctx("read:platform", of_house=True) as ctx:
        return sorted(await ctx.port(Jobs).queues(ctx.db), key=lambda queue: queue.queue)


async def _cost(visit: Visit) -> tuple[Decimal, int]:
    if not visit.may("read:usage"):
        return Decimal(0), 0
    async with visit.ctx("read:usage") as ctx:
        since = period_start(ctx.now, "day", visit.zone)
        sums = await usage.sum_usage(ctx.db, ctx.tenant.id, since=since, until=ctx.now + timedelta(seconds=1))
    return sum((one.cost for one in sums), Decimal(0)), sum(one.events for one in sums)


def _summary(report: Report) -> str:
    unwell = sum(finding.health is not Health.OK for finding in report.findings)
    return WORDS("look", count=unwell) if unwell else WORDS("well")


def _attention(found: Sequence[Matter]) -> None:
    with panel(
        WORDS("attention") if found else "", actions=lambda: exports("attention", lambda: found, _matter_columns())
    ):
        if not found:
            with tag("div", cls="o-calm"):
                lamp("good", WORDS("nothing"))
            return
        with tag("ul", cls="o-list"):
            for matter in found:
                with tag("li"):
                    lamp(matter.tone, "")
                    with tag("div", cls="o-grow"):
                        tag("div", matter.text)
                        if matter.advice:
                            tag("div", matter.advice[:300], "o-dim")
                    if matter.path:
                        link(WORDS("open"), matter.path)


def _instruments(beats: Sequence[Beat]) -> None:
    """The traffic of this process, each figure with the way to what it is made of."""
    everything, failed = sum(beat.requests for beat in beats), sum(beat.failed for beat in beats)
    buckets = added(beats[-_MINUTE_STEPS:])
    p50, p95, p99 = (quantile_ms(buckets, share) for share in (0.5, 0.95, 0.99))
    share = failed / everything if everything else 0.0
    reading(
        WORDS("requests"),
        say.count(sum(beat.requests for beat in beats[-_MINUTE_STEPS:])),
        unit=WORDS("per_min"),
        note=WORDS("last_minute"),
        trace=spark([beat.requests for beat in beats]),
        path="/traffic?span=minute",
    )
    reading(
        WORDS("errors"),
        say.share(share, 2 if failed else 0),
        tone="bad" if failed else None,
        note=WORDS("errors_note", failed=say.count(failed), all=say.count(everything)),
        trace=spark([beat.failed for beat in beats], "bad"),
        path="/traffic?by=failed",
    )
    reading(
        WORDS("latency"),
        say.milliseconds(p95),
        unit="ms",
        note=WORDS("latency_note", p50=say.latency(p50), p99=say.latency(p99)),
        trace=spark([quantile_ms(beat.buckets, 0.95) or 0.0 for beat in beats], "info"),
        path="/traffic?span=minute&by=p95",
    )


def _waiting(queues: Sequence[QueueView]) -> None:
    due, running, later = (sum(getattr(queue, name) for queue in queues) for name in ("due", "running", "later"))
    note = WORDS("waiting_note", running=say.count(running), later=say.count(later))
    reading(WORDS("waiting"), say.count(due), note=note, path="/jobs?of=house")


def _traffic(visit: Visit, beats: Sequence[Beat]) -> None:
    if not any(beat.requests for beat in beats):
        with panel(WORDS("traffic")):
            empty(
                WORDS("no_traffic"),
                WORDS("no_traffic_text"),
                lambda: tag("a", WORDS("no_traffic_act"), "o-button", href="/docs"),
            )
        return
    gap = max(0, _LEAST_COLUMNS - len(beats))
    first = beats[0].at
    early = [say.clock_time(first - timedelta(seconds=STEP_S * (gap - place)), visit.zone) for place in range(gap)]
    times = [*early, *(say.clock_time(beat.at, visit.zone) for beat in beats)]
    nothing, unknown = [0] * gap, [None] * gap
    with panel(WORDS("traffic"), note=WORDS("of_process"), cls="o-w6"):
        stacked(
            times,
            [
                (WORDS("answered"), "accent", [*nothing, *(beat.good for beat in beats)]),
                (WORDS("refused"), "warn", [*nothing, *(beat.refused for beat in beats)]),
                (WORDS("failed"), "bad", [*nothing, *(beat.failed for beat in beats)]),
            ],
        )
    with panel(WORDS("speed"), note=WORDS("speed_note"), cls="o-w6"):
        courses = (("p50", "accent", 0.5), ("p95", "info", 0.95), ("p99", "warn", 0.99))
        lines(
            times,
            [
                (name, tone, [*unknown, *(_rounded(quantile_ms(b.buckets, share)) for b in beats)])
                for name, tone, share in courses
            ],
            "ms",
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _part(finding: Finding) -> None:
    tone = _TONES[finding.health]
    title = finding.detail or WORDS(finding.health.value)
    with tag("a", cls=f"o-unit-box o-is-{tone}", title=title, href=f"/console/health#part-{finding.name}"):
        tag("b", finding.name, "o-cut")
        tag("span", f"{WORDS(finding.health.value)}, {say.latency(finding.latency_ms)}", "o-mono")


def _matter_columns() -> list[Column[Matter]]:
    return [
        Column(WORDS("attention"), lambda matter: matter.text),
        Column(WORDS("advice"), lambda matter: matter.advice),
        Column(WORDS("open"), lambda matter: f"/console{matter.path}" if matter.path else ""),
    ]


def _queue_columns() -> list[Column[QueueView]]:
    return [
        Column(WORDS("queue"), lambda queue: queue.queue),
        Column(WORDS("running"), lambda queue: say.count(queue.running)),
        Column(WORDS("waiting"), lambda queue: say.count(queue.due)),
        Column(WORDS("later"), lambda queue: say.count(queue.later)),
        Column(WORDS("longest"), lambda queue: say.span(queue.oldest_wait_s)),
    ]


def _queue_bars(queues: Sequence[QueueView]) -> None:
    busy = [queue for queue in queues if queue.due or queue.running or queue.later]
    if not busy:
        tag("p", WORDS("no_queues"), "o-dim")
        return
    most = max(queue.due + queue.running + queue.later for queue in busy)
    with tag("ul", cls="o-list"):
        for queue in busy:
            with tag("li"):
                with tag("div", cls="o-grow"):
                    with tag("div", cls="o-row").style("justify-content: space-between"):
                        link(queue.queue, f"/jobs?queue={queue.queue}&of=house")
                        wait = WORDS("oldest", span=say.span(queue.oldest_wait_s)) if queue.due else ""
                        tag("span", wait, "o-dim")
                    _bar(queue, most)
                tag("span", WORDS("due", count=queue.due), "o-mono o-dim")


def _bar(queue: QueueView, most: int) -> None:
    with tag("span", cls="o-bar").style("display: flex; margin-top: 4px"):
        for count, colour in ((queue.running, "info"), (queue.due, "warn"), (queue.later, "rule")):
            tag("i").style(f"width: {100 * count / most:.1f}%; background: var(--{colour}); border-radius: 0")
