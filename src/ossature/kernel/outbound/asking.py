"""From candidates to an answer: one after the other, again where that helps, two at once where the caller wants it."""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from ossature.kernel import clock, deadline
from ossature.kernel.errors import Problem
from ossature.kernel.outbound import metrics
from ossature.kernel.outbound.answer import Quota
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.candidates import Candidates
from ossature.kernel.outbound.exchange import Exchange
from ossature.kernel.outbound.http import Outcome, Undelivered
from ossature.kernel.outbound.judging import UNREADABLE, max_age_s
from ossature.kernel.outbound.kinds import (
    LONGEST_RATE_WAIT_S,
    NEVER_SENT,
    RULES,
    OutcomeUnknown,
    PolicyRefused,
    ProviderUnavailable,
    QuotaExhausted,
    UpstreamRefusedInput,
    again_after,
    problem_of,
)
from ossature.kernel.outbound.occasion import Nothing, Occasion, Step
from ossature.kernel.outbound.policy import Candidate, ranked
from ossature.kernel.outbound.provider import Call, Document, ErrorKind, Refusal, Reply, Sending
from ossature.kernel.retry import Budget, Retry, Verdict

log = structlog.get_logger()

_RETRY = Retry("outbound", first_s=0.1, most_s=1.0, total_s=600.0, longest_asked_s=LONGEST_RATE_WAIT_S)
_TRANSIENT = frozenset({ErrorKind.QUOTA, ErrorKind.RATE, ErrorKind.CONNECT})


@dataclass(frozen=True, slots=True)
class Got:
    """An answer, who gave it, and how long the upstream says that it is good."""

    data: Any
    candidate: Candidate
    max_age_s: float | None


class Asking:
    """Asks candidates. One per engine."""

    def __init__(self, exchange: Exchange, candidates: Candidates, board: Board) -> None:
        self.exchange = exchange
        self.board = board
        self._candidates = candidates
        self._budgets: dict[str, Budget] = {}

    async def order(self, occasion: Occasion, query: Any) -> list[Candidate]:  # noqa: ANN401 - the operation says
        """The candidates to ask, best first. Raises: the problem that none is."""
        found = await self._candidates.of(occasion.operation, query, occasion.options, occasion.tenant_id)
        order = ranked(found, occasion.options)
        if not order:
            raise _nobody(occasion, found)
        return order

    async def answer(self, occasion: Occasion, query: Any) -> Got:  # noqa: ANN401 - the operation says
        """The first good answer. Raises: the problem of the last attempt."""
        order = await self.order(occasion, query)
        if occasion.options.hedge and occasion.operation.kind == "read" and len(order) > 1:
            first, second, *order = order
            try:
                return await self._raced(occasion, (first, second), query)
            except Refusal as error:
                if not order or not self.falls_back(error, occasion):
                    raise self.problem(error, occasion) from error
        last: Refusal | None = None
        for number, candidate in enumerate(order):
            if deadline.remaining_s(1.0) <= 0:
                break
            try:
                got = await self.of(occasion, candidate, query)
            except Refusal as error:
                last = error
                if not self.falls_back(error, occasion):
                    break
                continue
            if number:
                metrics.fallbacks.labels(occasion.operation.id, candidate.provider.id).inc()
            return got
        raise self.problem(last, occasion) from last

    async def of(self, occasion: Occasion, candidate: Candidate, query: Any) -> Got:  # noqa: ANN401 - the operation says
        """What one candidate answers, in as many calls as its codec takes. Raises: Refusal."""
        codec = candidate.codec
        if codec.steps is not None:
            data = await self._stepped(occasion, candidate, codec.steps(query, candidate.account))
            return Got(data, candidate, None)
        age: list[float | None] = [None]

        def finish(reply: Reply) -> tuple[Any, Mapping[str, int]]:
            if codec.compute is not None:
                return codec.compute(query, candidate.account), {}
            if codec.decode is None:
                msg = f"{candidate.provider.id} only streams {occasion.operation.id}"
                raise Refusal(ErrorKind.POLICY, msg)
            data = codec.decode(query, reply)
            age[0] = max_age_s(reply, now=clock.now())
            return data, codec.units(data) if codec.units is not None else {}

        step: Step = Nothing() if codec.encode is None else encoded(candidate, query)
        return Got(await self._tried(occasion, candidate, step, finish), candidate, age[0])

    def falls_back(self, error: Refusal, occasion: Occasion) -> bool:
        """Whether the next candidate is asked after this."""
        if may_have_had_effect(error, occasion):
            return False
        if error.kind is ErrorKind.NOT_FOUND:
            return occasion.operation.fallback_on_empty
        return RULES[error.kind].falls_back

    def problem(self, error: Refusal | None, occasion: Occasion) -> Problem:
        """What the caller is told at the end."""
        attempts = [note.to_dict() for note in occasion.notes]
        if error is None:
            error = Refusal(ErrorKind.TIMEOUT_AFTER_SEND, "Time was up.")
        if may_have_had_effect(error, occasion):
            return OutcomeUnknown(error.detail or None, attempts=attempts, state="unknown")
        return problem_of(error.kind, detail=error.detail, retry_after_s=error.retry_after_s, attempts=attempts)

    def quota_of(self, occasion: Occasion) -> tuple[Quota, ...]:
        """What is left at the provider that answered."""
        good = occasion.answered_by
        return self.exchange.fullness.quota(good.windows) if good is not None else ()

    async def _stepped(self, occasion: Occasion, candidate: Candidate, steps: Generator[Sending, Reply, Any]) -> Any:  # noqa: ANN401 - the operation says
        try:
            sending = next(steps)
            while True:
                reply = await self._tried(occasion, candidate, sending, lambda reply: (reply, {}))
                sending = steps.send(reply)
        except StopIteration as stop:
            return stop.value
        except UNREADABLE as error:
            raise Refusal(ErrorKind.DECODE, "The answer was not understood.") from error
        finally:
            steps.close()

    async def _tried(self, occasion: Occasion, candidate: Candidate, step: Step, finish: Any) -> Any:  # noqa: ANN401 - the operation says
        def judge(error: Refusal) -> Verdict | None:
            return _again(error, step, occasion) if self.board.breaker(candidate.breaker).lets_through() else None

        result = await _RETRY.run(
            lambda: self.exchange.run(occasion, candidate, step, finish),
            on=(Refusal,),
            judge=judge,
            budget=self._budgets.setdefault(candidate.provider.id, Budget()),
        )
        occasion.answered_by = candidate
        return result

    async def _raced(self, occasion: Occasion, pair: Sequence[Candidate], query: Any) -> Got:  # noqa: ANN401 - the operation says
        """The first good answer of two: the second starts when the first is slower than it usually is, or fails."""
        first, second = pair
        tasks = [asyncio.create_task(self.of(occasion, first, query))]
        last: BaseException | None = None
        try:
            await asyncio.wait(tasks, timeout=self.board.health(first.breaker).p95_ms / 1000)
            if tasks[0].done() and tasks[0].exception() is None:
                return tasks[0].result()
            tasks.append(asyncio.create_task(self.of(occasion, second, query)))
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    last = task.exception()
                    if last is None:
                        winner = task.result()
                        metrics.hedges.labels(occasion.operation.id, winner.candidate.provider.id).inc()
                        return winner
            raise last or Refusal(ErrorKind.CANCELLED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def encoded(candidate: Candidate, query: Any) -> Sending:  # noqa: ANN401 - the operation says
    """The call of a codec with one. Raises: Refusal when the query cannot be said in the provider's words."""
    if candidate.codec.encode is None:
        raise Refusal(ErrorKind.POLICY, "This codec has no single call.")
    try:
        return candidate.codec.encode(query, candidate.account)
    except UNREADABLE as error:
        raise Refusal(ErrorKind.BAD_REQUEST, f"It cannot be asked: {error}") from error


def may_have_had_effect(error: Refusal, occasion: Occasion) -> bool:
    """Whether an order may have been carried out although no answer came: it is never given to somebody else then."""
    if occasion.operation.kind == "read":
        return False
    if isinstance(error, Undelivered):
        return error.outcome is Outcome.AMBIGUOUS or error.kind is ErrorKind.TIMEOUT_AFTER_SEND
    return error.kind is ErrorKind.TIMEOUT_AFTER_SEND


def _again(error: Refusal, step: Step, occasion: Occasion) -> Verdict | None:
    """Whether the same provider is asked again."""
    harmless = (
        occasion.operation.kind == "read"
        or error.kind in NEVER_SENT
        or (isinstance(step, (Call, Document)) and step.may_repeat)
    )
    return again_after(error) if harmless else None


def _nobody(occasion: Occasion, candidates: Sequence[Candidate]) -> Problem:
    """Why there is nobody to ask: the reason that passes first, else the one that somebody could mend."""
    reasons = [{"provider": each.provider.id, "reason": each.refused} for each in candidates]
    kinds = {each.kind for each in candidates}
    name = occasion.operation.id
    passing = [each.retry_after_s for each in candidates if each.kind in _TRANSIENT and each.retry_after_s is not None]
    retry_after_s = min(passing, default=None)
    if ErrorKind.QUOTA in kinds:
        return QuotaExhausted(f"Every quota for {name} is used up.", retry_after_s=retry_after_s, candidates=reasons)
    if ErrorKind.CONNECT in kinds:
        return ProviderUnavailable(f"Nobody answers {name} just now.", retry_after_s=retry_after_s, candidates=reasons)
    if ErrorKind.AUTH in kinds or not candidates:
        missing = sorted({setting for each in candidates for setting in each.missing})
        return ProviderUnavailable(f"No provider of {name} is set up.", missing=missing, candidates=reasons)
    if kinds == {ErrorKind.BAD_REQUEST}:
        return UpstreamRefusedInput(f"No provider of {name} can answer this.", candidates=reasons)
    return PolicyRefused(f"Every provider of {name} is excluded.", candidates=reasons)
