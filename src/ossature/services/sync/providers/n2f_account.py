"""An account at N2F: its token, its pace, and calls whose end is known or said to be unknown.

One request of an account is under way at a time. Every call goes through `kernel.outbound`: time limits, a quota in the house's ledger
that all processes share, a breaker, metrics, traces. A write that may have been carried out is never sent again here: it
is `TargetUncertain`, and whoever asked for it reads back.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from time import perf_counter
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ossature.kernel import clock
from ossature.kernel.errors import FieldError
from ossature.kernel.outbound.breaker import BreakerKey
from ossature.kernel.outbound.credentials import Credential, fingerprint
from ossature.kernel.outbound.exchange import Exchange
from ossature.kernel.outbound.http import Outcome, Undelivered
from ossature.kernel.outbound.kinds import NEVER_SENT
from ossature.kernel.outbound.ledger.values import DayLimit, Ledger, LedgerUnavailable, WindowSpec
from ossature.kernel.outbound.occasion import Occasion
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.policy import Candidate, Options
from ossature.kernel.outbound.provider import Account, Call, ErrorKind, Provider, Refusal, Reply, TimeLimits
from ossature.kernel.retry import WORTH_IT, Retry, Verdict
from ossature.services.sync.domain.problems import (
    PipelineInvalid,
    TargetCredentialRefused,
    TargetFailed,
    TargetRefused,
    TargetUncertain,
)
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.providers import n2f_codec as codec

log = structlog.get_logger()

_T = TypeVar("_T")

_WINDOW_S = 61.0
"""One second more than N2F's minute: clocks and networks are not exact."""
_LOOK_AGAIN_S = 10.0
_LONGEST_WAIT_S = 900.0
_READS_MOST = 3
_SET_KEPT = timedelta(minutes=5)
_RETRY = Retry("target_call", attempts=4, first_s=0.2, most_s=5.0, total_s=300.0)
_PATIENCE = Retry("target_busy", attempts=20, total_s=7200.0, longest_asked_s=_LONGEST_WAIT_S)
_WORTH_A_RETRY = frozenset(
    {
        ErrorKind.UPSTREAM_5XX, ErrorKind.CONNECT, ErrorKind.TIMEOUT_BEFORE_SEND, ErrorKind.TIMEOUT_AFTER_SEND,
        ErrorKind.TRUNCATED, ErrorKind.DECODE,
    }
)  # fmt: skip
_REFUSALS = frozenset({ErrorKind.BAD_REQUEST, ErrorKind.NOT_FOUND, ErrorKind.CONTENT_POLICY})
_NIGHT = (time(20, 1), time(5, 59))
"""The quota of the night, without the minute in which the smaller one of the day may still, or already, be meant."""


class _Open(BaseModel):
    """The open fields of a connection of the kind `n2f`. Calls are per minute; day is from 06 to 20 o'clock in `zone`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = codec.BASE_URL
    zone: str = "Europe/Paris"
    reads_by_day: int = Field(default=60, ge=1, le=1000)
    reads_by_night: int = Field(default=200, ge=1, le=1000)
    writes_by_day: int = Field(default=10, ge=1, le=1000)
    writes_by_night: int = Field(default=50, ge=1, le=1000)
    call_time_limit_s: float | None = Field(default=None, gt=0, le=300)
    consistency_s: float = Field(default=0.0, ge=0, le=3600)

    @field_validator("base_url")
    @classmethod
    def _safe(cls, url: str) -> str:
        parts = urlsplit(url)
        loopback = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if not parts.hostname or parts.query or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
            raise ValueError("an https address without a query")
        return url.rstrip("/")

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (LookupError, ValueError, OSError):
            raise ValueError("no time zone has that name") from None
        return zone


class N2fAccount:
    """One account: its token, its pace, and what it was asked lately. Shared by the pipelines of a process."""

    def __init__(
        self,
        connection: Connection,
        secrets: Mapping[str, str],
        *,
        tenant_id: UUID,
        out: tuple[Exchange, Ledger],
        sim_url: str,
        call_time_limit_s: float,
    ) -> None:
        """An account of a connection. sim_url: asked instead of N2F where it is set. Raises: PipelineInvalid."""
        said = _opened(connection)
        missing = [name for name in ("client_id", "client_secret") if name not in secrets]
        if missing:
            raise PipelineInvalid(f"The connection {connection.name!r} has no secret {missing[0]!r}.")
        self._secrets = secrets
        self._tenant_id = tenant_id
        self._exchange, self._ledger = out
        self.call_time_limit_s = said.call_time_limit_s or call_time_limit_s
        self.consistency_s = said.consistency_s
        credential = Credential(fingerprint(secrets), secrets, owner="tenant")
        limit_s = self.call_time_limit_s
        manifest = replace(
            codec.MANIFEST,
            base_url=f"{sim_url.rstrip('/')}/{codec.MANIFEST.id}" if sim_url else said.base_url,
            private=bool(sim_url),
            time_limits=TimeLimits(connect_s=min(5.0, limit_s), first_byte_s=limit_s, total_s=limit_s),
        )
        codecs = {codec.READ: codec.CODEC, codec.WRITE: codec.CODEC, codec.AUTHENTICATE: codec.TOKEN_CODEC}
        provider = Provider(manifest, {operation.id: each for operation, each in codecs.items()})
        subject = f"upstream:{manifest.id}:{credential.id}"
        self._windows = {
            "reads": _window(subject, "reads", said.reads_by_day, said.reads_by_night, said.zone),
            "writes": _window(subject, "writes", said.writes_by_day, said.writes_by_night, said.zone),
        }
        self._candidates = {
            operation.id: Candidate(
                provider=provider,
                credential=credential,
                codec=each,
                account=Account(),
                breaker=BreakerKey(manifest.id, operation.breaker_group, credential.id),
                windows=(self._windows["reads" if operation is codec.READ else "writes"],),
            )
            for operation, each in codecs.items()
        }
        self._token, self._token_until = "", datetime.min.replace(tzinfo=UTC)
        self._sets: dict[str, tuple[list[codec.Row], datetime]] = {}
        self._written_at: datetime | None = None
        self._one = asyncio.Lock()

    async def ready_to_write(self) -> None:
        """Return when a write may be sent at once. Raises: TargetFailed, TargetCredentialRefused."""
        async with self._one:
            await self._fresh_token()
            await self._room("writes")

    async def write(self, call: Call) -> None:
        """Send one write. Raises: TargetRefused, TargetUncertain, TargetFailed, TargetCredentialRefused."""
        async with self._one:
            try:
                await _RETRY.run(
                    lambda: self._authorised(codec.WRITE, call, codec.written), on=(Refusal,), judge=_if_not_sent
                )
            except Refusal as refusal:
                raise _of_write(refusal) from refusal
            finally:
                self._written_at = clock.now()

    async def records(self, path: str, key: str) -> list[codec.Row]:
        """Every record of a list, read so that no page shifted meanwhile. key: tells its records apart.

        Raises: TargetFailed, TargetCredentialRefused.
        """
        async with self._one:
            await self._settled()
            for _ in range(_READS_MOST):
                found = await self._stable(path, key)
                if found is not None:
                    return found
        raise TargetFailed(f"The pages of {path.partition('/')[2].partition('/')[0]} shift while they are read.")

    async def known(self, path: str, key: str) -> list[codec.Row]:
        """A set that changes rarely, kept for five minutes. key: empty where it has no pages."""
        kept, at = self._sets.get(path, ([], None))
        if at is not None and clock.now() - at < _SET_KEPT:
            return kept
        if key:
            found = await self.records(path, key)
        else:
            async with self._one:
                found = await self._read(codec.whole(path))
        self._sets[path] = (found, clock.now())
        return found

    async def _stable(self, path: str, key: str) -> list[codec.Row] | None:
        """All pages; None when they do not fit together."""
        first: list[codec.Row] = []
        rows: list[codec.Row] = []
        keys: set[str] = set()
        while True:
            start = len(rows)
            found = await self._read(codec.page(path, start))
            first = first or found
            rows += found
            keys.update(codec.folded(str(row.get(key, ""))) for row in found)
            if len(keys) != len(rows):
                return None  # also of a list that begins anew, and would never end
            if len(found) < codec.PAGE_ROWS:
                break
        return rows if start == 0 or await self._read(codec.page(path, 0)) == first else None

    async def _read(self, call: Call) -> list[codec.Row]:
        try:
            return await _RETRY.run(
                lambda: self._authorised(codec.READ, call, codec.rows_of), on=(Refusal,), judge=_if_harmless
            )
        except Refusal as refusal:
            raise _of_read(refusal) from refusal

    async def _authorised(self, operation: Operation, call: Call, finish: Callable[[Reply], _T]) -> _T:
        """What `finish` makes of the reply; with a new token, once, if the present one is refused. Raises: Refusal."""
        for last in (False, True):
            token = await self._fresh_token()
            signed = replace(call, headers={**call.headers, "Authorization": f"Bearer {token}"})
            try:
                return await self._sent(operation, signed, finish)
            except Refusal as refusal:
                if refusal.kind is not ErrorKind.AUTH or last:
                    raise
                self._token = ""
        raise AssertionError  # the loop ends by itself

    async def _fresh_token(self) -> str:
        """A token that is good for a while. Raises: TargetFailed, TargetCredentialRefused."""
        if self._token and clock.now() < self._token_until:
            return self._token
        call = codec.authenticate(self._secrets["client_id"], self._secrets["client_secret"])
        try:
            token, until = await _RETRY.run(
                lambda: self._sent(codec.AUTHENTICATE, call, codec.token_of), on=(Refusal,), judge=_if_harmless
            )
        except Refusal as refusal:
            if refusal.kind is ErrorKind.AUTH:
                raise TargetCredentialRefused("N2F does not accept the client id and secret.") from refusal
            raise _of_read(refusal) from refusal
        self._token, self._token_until = token, until - codec.token_margin(until - clock.now())
        return token

    async def _sent(self, operation: Operation, call: Call, finish: Callable[[Reply], _T]) -> _T:
        """One call, once there is room for it; a pause that N2F asks for is kept, and is no failure. Raises: Refusal."""
        unit = next(iter(call.units))

        async def when_there_is_room() -> _T:
            await self._room(unit)
            try:
                return await self._tried(operation, call, finish)
            except Refusal as refusal:
                if refusal.kind is ErrorKind.RATE:
                    await self._fill(unit, _pause_s(refusal))
                raise

        return await _PATIENCE.run(when_there_is_room, on=(Refusal,), judge=_if_busy)

    async def _tried(self, operation: Operation, call: Call, finish: Callable[[Reply], _T]) -> _T:
        occasion = Occasion(
            request_id=str(clock.new_id()), tenant_id=self._tenant_id, operation=operation, options=Options()
        )
        status, started = 0, perf_counter()

        def heard(reply: Reply) -> tuple[_T, Mapping[str, int]]:
            nonlocal status
            status = reply.status
            return finish(reply), {}

        outcome = "ok"
        try:
            return await self._exchange.run(occasion, self._candidates[operation.id], call, heard)
        except Refusal as refusal:
            outcome = refusal.kind.value
            raise
        except LedgerUnavailable as away:
            outcome = "ledger"
            raise Refusal(ErrorKind.CONNECT, away.title) from away
        finally:
            log.info(
                "sync.call",
                operation=operation.id,
                method=call.method,
                status=status,
                outcome=outcome,
                ms=round((perf_counter() - started) * 1000),
            )

    async def _room(self, unit: str) -> None:
        """Return when there is room in the window of a unit. Raises: Refusal when that would take too long."""
        window, waited_s = self._windows[unit], 0.0
        while waited_s < _LONGEST_WAIT_S:
            (state,) = await self._ledger.states([window])
            opens_at = state.held_until or (state.resets_at if state.remaining <= 0 else None)
            wait_s = 0.0 if opens_at is None else (opens_at - clock.now()).total_seconds()
            if wait_s <= 0:
                return
            wait_s = min(wait_s, _LOOK_AGAIN_S)
            waited_s += wait_s
            await clock.sleep(wait_s)
        raise Refusal(ErrorKind.CONNECT, f"No {unit} became free within {_LONGEST_WAIT_S:g} s.")

    async def _fill(self, unit: str, wait_s: float) -> None:
        """Take a window as full, since N2F does."""
        until = clock.now() + timedelta(seconds=min(wait_s, _WINDOW_S))
        await self._ledger.clamp(self._windows[unit], remaining=0, reset_at=until)

    async def _settled(self) -> None:
        """Wait until what was written last is to be seen."""
        if self._written_at is not None and self.consistency_s:
            waited_s = (clock.now() - self._written_at).total_seconds()
            await clock.sleep(max(0.0, self.consistency_s - waited_s))


def _opened(connection: Connection) -> _Open:
    try:
        return _Open.model_validate(dict(connection.public))
    except ValidationError as error:
        faults = [FieldError("/".join(map(str, each["loc"])), each["msg"], each["type"]) for each in error.errors()]
        said = "; ".join(f"{fault.pointer}: {fault.message}" for fault in faults)
        raise PipelineInvalid(f"The connection {connection.name!r} is not one to N2F: {said}.", errors=faults) from None


def _window(subject: str, unit: str, by_day: int, by_night: int, zone: str) -> WindowSpec:
    """An exact log: never more in any stretch of the window, whatever N2F counts by."""
    night = DayLimit(*_NIGHT, by_night)
    return WindowSpec(
        subject=subject, unit=unit, kind="log", limit=by_day, seconds=_WINDOW_S, zone=zone, limits=(night,)
    )


def _pause_s(refusal: Refusal) -> float:
    """How long N2F wants to be left alone: as it says, else until its window has gone by."""
    return _WINDOW_S if refusal.retry_after_s is None else refusal.retry_after_s


def _if_busy(refusal: Refusal) -> Verdict | None:
    return Verdict(asked_s=_pause_s(refusal), exactly=True) if refusal.kind is ErrorKind.RATE else None


def _if_harmless(refusal: Refusal) -> Verdict | None:
    return WORTH_IT if refusal.kind in _WORTH_A_RETRY else None


def _if_not_sent(refusal: Refusal) -> Verdict | None:
    return WORTH_IT if _not_sent(refusal) else None


def _not_sent(refusal: Refusal) -> bool:
    """Whether it is proved that nothing reached N2F."""
    return refusal.kind in NEVER_SENT or (isinstance(refusal, Undelivered) and refusal.outcome is Outcome.NOT_SENT)


def _of_read(refusal: Refusal) -> Exception:
    if refusal.kind is ErrorKind.AUTH:
        return TargetCredentialRefused("N2F refuses the token, also a new one.")
    return TargetFailed(f"N2F cannot be read: {refusal}.")


def _of_write(refusal: Refusal) -> Exception:
    if refusal.kind is ErrorKind.AUTH:
        return TargetCredentialRefused("N2F refuses the token, also a new one.")
    if refusal.kind is ErrorKind.RATE:
        return TargetFailed(f"N2F stays busy: {refusal}.")
    if refusal.kind in _REFUSALS:
        gone = refusal.kind is ErrorKind.NOT_FOUND
        return TargetRefused(refusal.detail or "N2F does not accept it.", gone=gone)
    if _not_sent(refusal):
        return TargetFailed(f"N2F cannot be written to: {refusal}.")
    return TargetUncertain(f"N2F may or may not have carried it out: {refusal}.")
