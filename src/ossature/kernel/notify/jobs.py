"""Scheduled work of notifications."""

from datetime import timedelta
from typing import Final

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.notify import store
from ossature.kernel.notify.settings import NotifySettings
from ossature.kernel.service import Every, Job


async def purge_messages(ctx: Ctx) -> int:
    """Forget old messages and mail; how many. Runs across tenants."""
    settings = ctx.settings[NotifySettings]
    return await store.purge(
        ctx.db, clock.now(), inbox_keep_days=settings.inbox_keep_days, mail_keep_days=settings.mail_keep_days
    )


PURGE: Final = Job(name="notify.purge_messages", run=purge_messages, every=Every(interval=timedelta(days=1)))
