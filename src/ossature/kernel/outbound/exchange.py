"""One attempt, from the reservation in the ledger to its settlement: every retry, hedge and fallback is one of these."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from ossature.kernel import clock, deadline
from ossature.kernel.errors import NotFound
from ossature.kernel.observe import tracing
from ossature.kernel.outbound import metrics
from ossature.kernel.outbound.answer import AttemptNote, Usage
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.credentials import Credentials
from ossature.kernel.outbound.guard import AddressRefused
from ossature.kernel.outbound.http import Http, HttpRequest, HttpStream, Outcome, Undelivered
from ossature.kernel.outbound.judging import UNREADABLE, judged
from ossature.kernel.outbound.kinds import NEVER_SENT, RULES, ConsumerQuotaExhausted
from ossature.kernel.outbound.ledger.ending import told
from ossature.kernel.outbound.ledger.local import LocalBucket
from ossature.kernel.outbound.ledger.values import (
    Ledger,
    LedgerUnavailable,
    Refused,
    Reservation,
    Reserved,
)
from ossature.kernel.outbound.occasion import Attempt, Meter, Nothing, Occasion, Sender, Step
from ossature.kernel.outbound.placing import Surroundings, place, redacted
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import Call, ErrorKind, Refusal, Reply, Sending
from ossature.kernel.outbound.quotas import Fullness
from ossature.kernel.outbound.takes import COST_UNIT, cost_microusd, length_s, takes_of, units_of
from ossature.kernel.outbound.tokens import Tokens

log = structlog.get_logger()

T = TypeVar("T")

_EXPIRY_MARGIN_S = 60.0
_BULKHEAD_WAIT_S = 1.0
_LONG_WINDOW_S = 3600.0
_ESTIMATED = frozenset({ErrorKind.CANCELLED, ErrorKind.TRUNCATED, ErrorKind.TIMEOUT_AFTER_SEND})


class Exchange:
    """Makes attempts. One per process."""

    def __init__(  # noqa: PLR0913 - everything that an attempt touches
        self,
        *,
        http: Http,
        ledger: Ledger,
        board: Board,
        credentials: Credentials,
        fullness: Fullness,
        around: Surroundings,
        senders: Mapping[str, Sender],
        meter: Meter,
    ) -> None:
        self.http = http
        self.around = around
        self.tokens = Tokens(http, around)
        self._ledger = ledger
        self._bucket = LocalBucket()
        self._board = board
        self._credentials = credentials
        self.fullness = fullness
        self._senders = senders
        self._meter = meter
        self._bulkheads: dict[str, asyncio.Semaphore] = {}

    async def run(
        self,
        occasion: Occasion,
        candidate: Candidate,
        step: Step,
        finish: Callable[[Reply], tuple[T, Mapping[str, int]]],
    ) -> T:
        """What `finish` makes of the reply; it also says what was really used, by unit.

        Raises: Refusal; ConsumerQuotaExhausted; LedgerUnavailable.
        """
        async with self.attempt(occasion, candidate, step) as attempt:
            reply = await self._send(attempt, step)
            self.fullness.heard(candidate, reply)
            judged(candidate.codec, reply)
            try:
                result, used = finish(reply)
            except NotFound as none:  # the domain's own way of saying that the source does not have it
                raise Refusal(ErrorKind.NOT_FOUND, none.detail or none.title) from none
            except UNREADABLE as error:
                log.warning(
                    "outbound.answer_unreadable",
                    provider=candidate.provider.id,
                    operation=occasion.operation.id,
                    error=f"{type(error).__name__}: {error}"[:200],
                )
                raise Refusal(ErrorKind.DECODE, "The answer was not understood.") from error
            attempt.units |= used
            if occasion.options.raw:
                occasion.body = reply.body
        return result

    @asynccontextmanager
    async def attempt(self, occasion: Occasion, candidate: Candidate, step: Step) -> AsyncIterator[Attempt]:
        """An attempt for the length of a block: reserved before it, settled by how it ends."""
        provider = candidate.provider.id
        if not await self._board.enter(candidate.breaker):
            raise Refusal(ErrorKind.CONNECT, "It is left alone for a while, after failures.")
        attempt: Attempt | None = None
        kind: ErrorKind | None = ErrorKind.CANCELLED
        detail = ""
        error: Refusal | None = None
        try:
            places = await self._place_at(candidate)
            try:
                attempt = await self._reserved(occasion, candidate, step)
                metrics.in_flight_of(provider).inc()
                try:
                    with tracing.span(
                        f"outbound {occasion.operation.id}", kind="client", attributes={"provider": provider}
                    ):
                        yield attempt
                finally:
                    metrics.in_flight_of(provider).dec()
            finally:
                places.release()
            kind = None
        except Refusal as refusal:
            error, kind, detail = refusal, refusal.kind, redacted(refusal.detail, candidate.credential)
            if attempt is not None and refusal.units is not None:
                attempt.units |= refusal.units
            raise
        except (ConsumerQuotaExhausted, LedgerUnavailable) as refusal:
            kind, detail = ErrorKind.QUOTA, refusal.title
            raise
        finally:
            self._noted(occasion, candidate, attempt, kind, detail)
            if attempt is not None:
                await self._ended(attempt, kind, error)

    def _noted(
        self, occasion: Occasion, candidate: Candidate, attempt: Attempt | None, kind: ErrorKind | None, detail: str
    ) -> None:
        """Tell the breaker, the metrics and the caller's envelope how an attempt ended."""
        ms = attempt.ms if attempt is not None else 0.0
        failed = kind is not None if attempt is not None and (kind is None or RULES[kind].counts) else None
        self._board.leave(candidate.breaker, failed=failed, ms=ms, error=kind or "")
        provider, operation, outcome = candidate.provider.id, occasion.operation.id, kind or "ok"
        occasion.notes.append(AttemptNote(provider, candidate.credential.id, outcome, round(ms), detail))
        metrics.attempts_of(provider, operation, outcome).inc()
        if attempt is not None:
            metrics.duration_of(provider, operation).observe(ms / 1000)
            self._credentials.report(candidate.provider.manifest, candidate.credential, kind)

    async def _place_at(self, candidate: Candidate) -> asyncio.Semaphore:
        """One of the provider's places, to be released; who does not get one in time goes elsewhere."""
        manifest = candidate.provider.manifest
        places = self._bulkheads.get(manifest.id)
        if places is None:
            places = self._bulkheads[manifest.id] = asyncio.Semaphore(manifest.max_concurrency)
        if not places.locked():
            await places.acquire()
            return places
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining_s(_BULKHEAD_WAIT_S))):
                await places.acquire()
        except TimeoutError:
            raise Refusal(ErrorKind.RATE, f"{manifest.max_concurrency} calls are under way.") from None
        return places

    async def _reserved(self, occasion: Occasion, candidate: Candidate, step: Step) -> Attempt:
        manifest = candidate.provider.manifest
        units = units_of(step) if not isinstance(step, Nothing) else dict(step.units)
        cost = cost_microusd(manifest.prices, occasion.operation.id, units, model=occasion.options.model)
        takes = takes_of((*occasion.consumer_windows, *candidate.windows), units | {COST_UNIT: cost})
        reservation = Reservation(
            attempt_id=clock.new_id(),
            request_id=occasion.request_id,
            tenant_id=occasion.tenant_id,
            provider=manifest.id,
            operation=occasion.operation.id,
            takes=takes,
            expires_at=clock.now() + timedelta(seconds=deadline.remaining_s(3600.0) + _EXPIRY_MARGIN_S),
        )
        attempt = Attempt(
            id=reservation.attempt_id,
            occasion=occasion,
            candidate=candidate,
            units=units,
            counted=True,
            started=time.perf_counter(),
        )
        answer = await self._room(reservation, attempt)
        if isinstance(answer, Refused):
            raise self._no_room(answer, occasion, candidate)
        if answer.wait_s > 0:
            await self._waited(attempt, answer.wait_s)
        attempt.started = time.perf_counter()
        return attempt

    async def _room(self, reservation: Reservation, attempt: Attempt) -> Reserved | Refused:
        try:
            return await self._ledger.reserve(reservation)
        except LedgerUnavailable:
            occasion, candidate = attempt.occasion, attempt.candidate
            # Writes and whatever costs money fail closed; free reads go on at a tenth of their limits.
            if occasion.operation.kind != "read" or candidate.cost_microusd or not candidate.provider.manifest.is_free:
                raise
            attempt.counted = False
            occasion.warnings.append("The quota ledger is away; a small local allowance is used.")
            return self._bucket.reserve(reservation)

    async def _waited(self, attempt: Attempt, wait_s: float) -> None:
        """Wait for the slot of a pace, if there is time for that."""
        if wait_s >= deadline.remaining_s(3600.0):
            await self._release(attempt)
            raise Refusal(ErrorKind.RATE, f"The next slot is {wait_s:.1f} s away.", retry_after_s=wait_s)
        try:
            await clock.sleep(wait_s)
        except asyncio.CancelledError:
            await self._release(attempt)
            raise

    async def _release(self, attempt: Attempt) -> None:
        if attempt.counted:
            await self._told(attempt, self._ledger.release(attempt.id))

    def _no_room(self, answer: Refused, occasion: Occasion, candidate: Candidate) -> Exception:
        window = answer.window
        if window in occasion.consumer_windows:
            return ConsumerQuotaExhausted(
                f"No {window.unit} are left for {window.subject}.",
                retry_after_s=answer.retry_after_s,
                window=window.name,
            )
        self.fullness.exhausted(candidate, window)
        kind = ErrorKind.QUOTA if length_s(window) >= _LONG_WINDOW_S else ErrorKind.RATE
        return Refusal(kind, f"No {window.unit} are left.", retry_after_s=answer.retry_after_s)

    async def _send(self, attempt: Attempt, step: Step) -> Reply:
        candidate = attempt.candidate
        manifest = candidate.provider.manifest
        if isinstance(step, Nothing):
            return Reply(0, received_at=clock.now())
        if not isinstance(step, Call):
            sender = self._senders.get(manifest.transport)
            if sender is None:
                raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, f"No transport {manifest.transport!r} here.")
            return await sender.send(step, candidate)
        try:
            request, token = await self._placed(attempt, step)
            reply = await self.http.send(request)
        except AddressRefused as refused:
            raise _unsendable(refused) from refused
        if token and reply.status == 401:
            self.tokens.forget(manifest, candidate.credential, token=token)
        url = redacted(reply.url, candidate.credential)
        return reply if url == reply.url else replace(reply, url=url)

    @asynccontextmanager
    async def streamed(self, attempt: Attempt, step: Sending) -> AsyncIterator[HttpStream]:
        """The reply to a call whose body comes piece by piece. Raises: Undelivered."""
        if not isinstance(step, Call):
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "Only HTTP streams.")
        request, token = await self._placed(attempt, step)
        async with AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(self.http.stream(request))
            except AddressRefused as refused:
                raise _unsendable(refused) from refused
            if token and opened.head.status == 401:
                candidate = attempt.candidate
                self.tokens.forget(candidate.provider.manifest, candidate.credential, token=token)
            yield opened

    async def _placed(self, attempt: Attempt, step: Call) -> tuple[HttpRequest, str]:
        """The request of a call, and the token in it."""
        candidate = attempt.candidate
        manifest = candidate.provider.manifest
        token = ""
        if manifest.auth.kind == "oauth_cc" and candidate.credential.secrets and not step.no_auth:
            token = await self.tokens.of(manifest, candidate.credential)
        folder = attempt.occasion.folder
        request = place(
            step,
            manifest,
            candidate.credential,
            self.around,
            token=token,
            to_file=folder / str(attempt.id) if folder is not None else None,
        )
        header = tracing.traceparent()
        if header is not None and request.private:  # ours; others have no use for our trace ids
            request = replace(request, headers={**request.headers, "traceparent": header})
        return request, token

    async def _ended(self, attempt: Attempt, kind: ErrorKind | None, error: Refusal | None) -> None:
        """Settle, release or write down; a caller that left does not stop it."""
        candidate, occasion = attempt.candidate, attempt.occasion
        manifest = candidate.provider.manifest
        not_sent = isinstance(error, Undelivered) and error.outcome is Outcome.NOT_SENT
        charged = kind is None or RULES[kind].charged or kind in manifest.charges_on
        not_sent = not_sent or kind in NEVER_SENT
        units = attempt.units if charged and not not_sent else dict.fromkeys(attempt.units, 0)
        cost = cost_microusd(manifest.prices, occasion.operation.id, units, model=occasion.options.model)
        occasion.cost_microusd += cost
        estimated = attempt.partial or kind in _ESTIMATED
        # First what waits for nobody: a caller who leaves again while the ledger is told changes nothing of it.
        if error is not None:
            self.fullness.refused(candidate, error)
        try:
            self._metered(attempt, units, cost, kind=kind, estimated=estimated)
        finally:
            if attempt.counted:
                outcome = kind.value if kind is not None else "ok"
                ending = (
                    self._ledger.release(attempt.id, outcome=outcome)
                    if not_sent
                    else self._ledger.settle(
                        attempt.id, units | {COST_UNIT: cost}, estimated=estimated, outcome=outcome
                    )
                )
                await self._told(attempt, ending)

    def _metered(
        self, attempt: Attempt, units: Mapping[str, int], cost: int, *, kind: ErrorKind | None, estimated: bool
    ) -> None:
        candidate, occasion = attempt.candidate, attempt.occasion
        provider = candidate.provider.id
        for unit, count in units.items():
            metrics.units_of(provider, unit).inc(count)
        if cost:
            metrics.cost.labels(provider).inc(cost)
        self._meter(
            Usage(
                attempt_id=attempt.id,
                request_id=occasion.request_id,
                tenant_id=occasion.tenant_id,
                provider=provider,
                credential=candidate.credential.id,
                operation=occasion.operation.id,
                units=units,
                cost_microusd=cost,
                outcome=kind or "ok",
                estimated=estimated,
                latency_ms=attempt.ms,
                at=clock.now(),
                project_id=occasion.project_id,
                key_id=occasion.key_id,
            )
        )

    async def _told(self, attempt: Attempt, ending: Any) -> None:  # noqa: ANN401 - a coroutine of the ledger
        """Have the ledger hear how an attempt ended, even if the caller leaves meanwhile."""
        if not await told(ending):
            metrics.unaccounted.labels(attempt.candidate.provider.id).inc()


def _unsendable(refused: AddressRefused) -> Undelivered:
    """An address that must not be called, as a refusal: the next provider may be asked."""
    return Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, refused.detail or refused.title)
