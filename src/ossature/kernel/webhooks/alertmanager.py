"""What Alertmanager says, told to the people who run the platform: in their inbox, and by mail as they chose.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config (version 4 of its message).
"""

from datetime import UTC
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from ossature.kernel.auth.roles import PLATFORM_ADMIN
from ossature.kernel.auth.users import store as users
from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy
from ossature.kernel.notify.domain import Notice, Recipient, Wording
from ossature.kernel.notify.usecases import notify
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import OWNER

_PEOPLE_MOST = 200
_ALERTS_MOST = 1000
_TOLD_MOST = 20

ALERT: Final = Notice(
    name="house.alert",
    wordings={
        "en": Wording("$name: $count firing", "$lines\n"),
        "fr": Wording("$name : $count en cours", "$lines\n"),
        "de": Wording("$name: $count aktiv", "$lines\n"),
        "he": Wording("$name: $count פעילות", "$lines\n"),
    },
    fields=frozenset({"name", "count", "lines"}),
)

Name = Annotated[str, Field(max_length=200, examples=["alertname"])]
Text = Annotated[str, Field(max_length=4000, examples=["SloBurnsFast"])]
Labels = Annotated[dict[Name, Text], Field(max_length=100, examples=[{"alertname": "SloBurnsFast"}])]
Status = Literal["firing", "resolved"]


class AlertIn(Input):
    """One alert: its labels name it, its annotations say what it means."""

    status: Status
    labels: Labels
    annotations: Labels
    startsAt: AwareDatetime  # noqa: N815 - Alertmanager's name
    endsAt: AwareDatetime  # noqa: N815 - likewise
    generatorURL: Text = ""  # noqa: N815 - likewise
    fingerprint: Name = ""


class GroupIn(Input):
    """Alerts that belong together, as Alertmanager sends them."""

    version: Literal["4"]
    status: Status
    receiver: Name
    groupKey: Text = ""  # noqa: N815 - Alertmanager's name
    truncatedAlerts: int = Field(default=0, ge=0, le=1_000_000)  # noqa: N815 - likewise
    groupLabels: Labels  # noqa: N815 - likewise
    commonLabels: Labels  # noqa: N815 - likewise
    commonAnnotations: Labels  # noqa: N815 - likewise
    externalURL: Text = ""  # noqa: N815 - likewise
    alerts: list[AlertIn] = Field(min_length=1, max_length=_ALERTS_MOST)


class Told(BaseModel):
    """How many people were told."""

    told: int


router = APIRouter(tags=["webhooks"])


@router.post("/alertmanager", summary="Tell the platform's administrators of alerts")
@policy(allow="write:alerts", max_body_bytes=2_000_000)
async def take_alerts(ctx: CurrentCtx, group: GroupIn) -> Told:
    """Put alerts into the inboxes, and the mail, of who administers or owns the tenant of the key."""
    return Told(told=await tell(ctx, group))


async def tell(ctx: Ctx, group: GroupIn) -> int:
    """Tell everybody who administers the platform or owns the tenant; how many."""
    ids = {
        user_id
        for role in (PLATFORM_ADMIN, OWNER)
        for user_id in await tenants.members_with_role(ctx.db, ctx.tenant.id, role)
    }
    people = (await users.users(ctx.db, sorted(ids), ListQuery(limit=_PEOPLE_MOST))).items if ids else ()
    firing = sum(alert.status == "firing" for alert in group.alerts) + group.truncatedAlerts
    facts = {
        "name": group.groupLabels.get("alertname") or group.commonLabels.get("alertname", group.receiver),
        "count": firing,
        "lines": "\n".join(_lines(group)),
    }
    told = 0
    for person in people:
        if person.deactivated_at is None:
            to = Recipient(
                person_id=person.id, address=person.email, language=ctx.tenant.language, zone=ctx.tenant.zone
            )
            await notify(ctx, ALERT, to, facts)
            told += 1
    return told


def _lines(group: GroupIn) -> list[str]:
    """What each alert says, with the page that says what to do; of many, the first."""
    lines = []
    for alert in group.alerts[:_TOLD_MOST]:
        at = (alert.startsAt if alert.status == "firing" else alert.endsAt).astimezone(UTC)
        summary = alert.annotations.get("summary") or alert.labels.get("alertname", "")
        lines.append(f"[{alert.labels.get('severity', '')}, {alert.status}] {at:%Y-%m-%d %H:%M:%S} UTC: {summary}")
        if runbook := alert.annotations.get("runbook_url"):
            lines.append(f"  {runbook}")
    more = len(group.alerts) + group.truncatedAlerts - _TOLD_MOST
    return [*lines, f"... (+{more})"] if more > 0 else lines
