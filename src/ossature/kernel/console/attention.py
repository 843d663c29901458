"""What needs a person: gathered from the parts that know, most urgent first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from ossature.kernel.auth.keys import store as keys
from ossature.kernel.console import say
from ossature.kernel.console.parts import Tone
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.jobs import store as jobs
from ossature.kernel.jobs.domain import State
from ossature.kernel.observe.health import Report
from ossature.kernel.service import Health
from ossature.kernel.webhooks import store as webhooks

WORDS = Words(
    "console.attention",
    {
        "health": "{name}: {detail}",
        "dead": Message("A job gave up: {name}.", plural="{count} jobs gave up. The last one is {name}."),
        "dead_house": Message(
            "A job of the house gave up: {name}.", plural="{count} jobs of the house gave up. The last one is {name}."
        ),
        "webhook_off": "The webhook to {url} is disabled: {why}.",
        "webhook_failing": "The webhook to {url} has failed since {since}.",
        "key": Message("The key {name} expires within a day.", plural="The key {name} expires in {count} days."),
        "rotate": "The key {name} is due for rotation.",
    },
)

_SOON = timedelta(days=14)
_LOOK_AT = 200


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing to look at. advice: what can be done; path: the page where."""

    tone: Tone
    text: str
    advice: str = ""
    path: str = ""


async def matters(visit: Visit, report: Report | None) -> list[Matter]:
    """Everything that needs this person, as far as they may see it."""
    found = list(_of_health(report)) if report is not None else []
    async with visit.ctx("*") as ctx:
        if visit.may("read:jobs"):
            found += await _of_jobs(ctx, "dead", "/jobs?state=dead")
        if visit.may("read:webhooks"):
            found += await _of_webhooks(ctx, visit.zone)
        if visit.may("read:keys"):
            found += await _of_keys(ctx)
    if visit.may("read:platform") and visit.may("read:jobs"):
        async with visit.ctx("read:jobs", of_house=True) as ctx:
            found += await _of_jobs(ctx, "dead_house", "/jobs?state=dead&of=house")
    return sorted(found, key=lambda matter: matter.tone != "bad")


def _of_health(report: Report) -> Iterator[Matter]:
    for finding in report.findings:
        if finding.health is not Health.OK:
            tone: Tone = "bad" if finding.health is Health.DOWN else "warn"
            yield Matter(tone, WORDS("health", name=finding.name, detail=finding.detail), finding.advice, "/health")


async def _of_jobs(ctx: Ctx, key: str, path: str) -> list[Matter]:
    dead = await jobs.find(ctx.db, ctx.tenant.id, state=State.DEAD, limit=_LOOK_AT)
    if not dead:
        return []
    return [Matter("bad", WORDS(key, count=len(dead), name=dead[0].name), dead[0].error or "", path)]


async def _of_webhooks(ctx: Ctx, zone: str) -> list[Matter]:
    found = []
    for endpoint in (await webhooks.list_endpoints(ctx.db, ctx.tenant.id, ListQuery(limit=_LOOK_AT))).items:
        path = f"/webhooks/{endpoint.id}"
        if not endpoint.enabled:
            found.append(Matter("warn", WORDS("webhook_off", url=endpoint.url, why=endpoint.disabled_why), "", path))
        elif endpoint.failing_since is not None:
            text = WORDS("webhook_failing", url=endpoint.url, since=say.instant(endpoint.failing_since, zone))
            found.append(Matter("warn", text, "", path))
    return found


async def _of_keys(ctx: Ctx) -> list[Matter]:
    found = []
    for key in (await keys.keys(ctx.db, ctx.tenant.id, ListQuery(limit=_LOOK_AT))).items:
        if key.revoked_at is not None:
            continue
        if key.rotate_due_at is not None and key.rotate_due_at <= ctx.now:
            found.append(Matter("warn", WORDS("rotate", name=key.name), "", "/keys"))
        elif key.expires_at is not None and ctx.now < key.expires_at <= ctx.now + _SOON:
            found.append(
                Matter("warn", WORDS("key", name=key.name, count=max((key.expires_at - ctx.now).days, 1)), "", "/keys")
            )
    return found
