"""Telling the owners of a tenant that one of its endpoints no longer hears anything."""

from typing import Final
from urllib.parse import urlsplit

from ossature.kernel.auth.users import store as users
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.notify.domain import Notice, Recipient, Wording
from ossature.kernel.notify.usecases import notify
from ossature.kernel.service import Job
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import OWNER
from ossature.kernel.webhooks.domain import WebhookDisabled

_OWNERS_MOST = 200

ENDPOINT_DISABLED: Final = Notice(
    name="webhooks.endpoint_disabled",
    wordings={
        "en": Wording(
            "Webhook to $host disabled",
            "Nothing more is sent to the webhook endpoint at $host: $why.\n\nMend the receiver, enable the endpoint "
            "again, and replay the deliveries that failed.\n",
        ),
        "fr": Wording(
            "Webhook vers $host désactivé",
            "Plus rien n'est envoyé au point de réception $host : $why.\n\nRéparez le récepteur, réactivez le point de "
            "réception, puis rejouez les envois qui ont échoué.\n",
        ),
        "de": Wording(
            "Webhook an $host abgeschaltet",
            "An den Webhook-Empfänger $host wird nichts mehr gesendet: $why.\n\nBringen Sie den Empfänger in Ordnung, "
            "schalten Sie ihn wieder ein und wiederholen Sie die gescheiterten Sendungen.\n",
        ),
        "he": Wording(
            "ה-webhook אל $host הושבת",
            "לא נשלח עוד דבר אל יעד ה-webhook בכתובת $host: $why.\n\nתקנו את המקבל, הפעילו את היעד מחדש ושלחו שוב את "  # noqa: RUF001 - Hebrew, not a lookalike
            "המשלוחים שנכשלו.\n",
        ),
    },
    mandatory=True,
    fields=frozenset({"host", "why"}),
)


async def alert_owners(ctx: Ctx, fact: WebhookDisabled) -> int:
    """Tell every owner of the tenant, by inbox and mail; how many."""
    ids = await tenants.members_with_role(ctx.db, ctx.tenant.id, OWNER)
    owners = (await users.users(ctx.db, ids, ListQuery(limit=_OWNERS_MOST))).items if ids else ()
    # Only the host: an address may carry a token in its path or query.
    facts = {"host": urlsplit(fact.url).hostname or "", "why": fact.why}
    told = 0
    for owner in owners:
        if owner.deactivated_at is not None:
            continue
        to = Recipient(person_id=owner.id, address=owner.email, language=ctx.tenant.language, zone=ctx.tenant.zone)
        await notify(ctx, ENDPOINT_DISABLED, to, facts, link=f"/console/webhooks/{fact.endpoint_id}")
        told += 1
    return told


ALERT_OWNERS: Final = Job(name="webhooks.alert_owners", run=alert_owners)
