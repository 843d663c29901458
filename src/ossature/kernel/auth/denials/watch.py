"""Counts what addresses fail at, and has those refused, in every process, that fail too often.

A failure is counted in memory; once a second what was counted is added to the table that all processes share. The one
that finds an address over the limit refuses it, and tells the others. Nothing of this is waited for by a request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background, clock
from ossature.kernel.auth.denials import store
from ossature.kernel.auth.denials.domain import ABUSE, counted_as
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.context import Ctx
from ossature.kernel.errors import Unavailable
from ossature.kernel.events.signals import Signals
from ossature.kernel.tenants.domain import contains

log = structlog.get_logger()

DENIALS: Final = "auth.denials"
"""The signal that an address is refused from now on, or no more."""

DENIED = Counter(
    "auth_addresses_denied_total", "Addresses that were refused by themselves, since they failed too often."
)
DENIED_NOW = Gauge(
    "auth_addresses_refused", "Addresses that are refused by themselves now.", multiprocess_mode="livemax"
)

KEPT_MOST: Final = 4096
_ADD_S = 1.0
_AGAIN_S = 30.0
"""The table is read again this often, for news that no signal brought."""
_TRIES_S = 60.0


class Watch:
    """What addresses fail at. One per process; `open()` while it serves."""

    def __init__(
        self, settings: AuthSettings, signals: Signals, occasion: Callable[[], AbstractAsyncContextManager[Ctx]]
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._occasion = occasion
        self._counted: dict[str, int] = {}
        self._tries: dict[str, tuple[float, int]] = {}
        self._exempt: dict[str, bool] = {}
        self._news = asyncio.Event()
        self.denied: dict[str, float] = {}
        """Until when, in Unix seconds, an address is refused."""
        signals.subscribe(DENIALS, lambda _: self._news.set(), lost=self._news.set)

    def note(self, ip: str, kind: str) -> None:
        """Count a failure. kind: as `Addresses.note_failure` has it."""
        if not self._settings.abuse_failures or kind not in ABUSE:
            return
        address = counted_as(ip)
        if self._is_exempt(address):
            return
        if address in self._counted or len(self._counted) < KEPT_MOST:
            self._counted[address] = self._counted.get(address, 0) + 1
        if self._counted.get(address, 0) >= self._settings.abuse_failures:
            self._news.set()

    def refuses(self, ip: str) -> float:
        """How long an address is still refused, in seconds; 0 when it is not."""
        until = self.denied.get(counted_as(ip), 0.0) if self.denied else 0.0
        return max(until - clock.unix_s(), 0.0) if until else 0.0

    def note_try(self, ip: str) -> None:
        """Count a credential that the database did not know."""
        now_s, address = clock.unix_s(), counted_as(ip)
        begun_s, tries = self._tries.get(address, (now_s, 0))
        if not 0 <= now_s - begun_s < _TRIES_S:
            begun_s, tries = now_s, 0
        if len(self._tries) >= KEPT_MOST:
            self._tries.clear()
        self._tries[address] = (begun_s, tries + 1)

    def rests_s(self, ip: str) -> float:
        """How long the database is not asked about a credential from this address, in seconds; 0 when it is asked."""
        if not self._tries or not self._settings.bad_credentials_per_minute:
            return 0.0
        begun_s, tries = self._tries.get(counted_as(ip), (0.0, 0))
        if tries < self._settings.bad_credentials_per_minute:
            return 0.0
        over_s = begun_s + _TRIES_S - clock.unix_s()
        return over_s if 0 < over_s <= _TRIES_S else 0.0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """While open, what was counted is shared, and what others found out is known here."""
        task = background.start(self._share_for_ever, "auth.denials")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def share(self) -> None:
        """Add what was counted to the table, and refuse who is over the limit."""
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            await self._add(counted)
        except (Unavailable, DBAPIError, OSError):
            for address, failures in counted.items():
                self._counted[address] = self._counted.get(address, 0) + failures
            raise

    async def _add(self, counted: Mapping[str, int]) -> None:
        settings = self._settings
        async with self._occasion() as ctx:
            window = ctx.now - timedelta(seconds=settings.abuse_window_s)
            until = ctx.now + timedelta(seconds=settings.abuse_deny_s)
            for address in sorted(counted):
                failures = await store.add_failures(ctx.db, address, counted[address], now=ctx.now, begun_after=window)
                if failures >= settings.abuse_failures and await store.deny(ctx.db, address, now=ctx.now, until=until):
                    facts = {"failures": failures, "until": until.isoformat()}
                    await ctx.audit("address.denied", f"address:{address}", **facts)
                    self._signals.publish_after(ctx.db, DENIALS)
                    ctx.db.after_commit(DENIED.inc)
                    log.warning("auth.address_denied", **facts)

    async def read(self) -> None:
        """Know who is refused now."""
        async with self._occasion() as ctx:
            found = await store.denied(ctx.db, ctx.now, most=KEPT_MOST)
        self.denied = {one.address: one.denied_until.timestamp() for one in found}
        DENIED_NOW.set(len(self.denied))

    async def _share_for_ever(self) -> None:
        waited_s = _AGAIN_S
        while True:
            try:
                await self.share()
                if self._news.is_set() or waited_s >= _AGAIN_S:
                    self._news.clear()
                    waited_s = 0.0
                    await self.read()
            except (Unavailable, DBAPIError, OSError) as error:
                log.warning("auth.denials_not_shared", error=repr(error))
            try:
                async with asyncio.timeout(_ADD_S):
                    await self._news.wait()
            except TimeoutError:
                waited_s += _ADD_S

    def _is_exempt(self, address: str) -> bool:
        known = self._exempt.get(address)
        if known is None:
            if len(self._exempt) >= KEPT_MOST:
                self._exempt.clear()
            known = self._exempt[address] = contains(self._settings.abuse_exempt, address)
        return known


async def lift(ctx: Ctx, signals: Signals, address: str) -> bool:
    """Let an address in again, in every process within a second; False when it is not refused."""
    if not await store.lift(ctx.db, address, ctx.now):
        return False
    await ctx.audit("address.lifted", f"address:{address}")
    signals.publish_after(ctx.db, DENIALS)
    return True


async def forget(ctx: Ctx) -> int:
    """How many addresses were dropped that are not refused and have not failed of late."""
    settings = ctx.settings[AuthSettings]
    return await store.forget(ctx.db, now=ctx.now, begun_before=ctx.now - timedelta(seconds=settings.abuse_window_s))
