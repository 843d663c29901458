"""Asking language models: whom first, whom next, and what became of it.

The hot path of the hub. A request goes to one seat (a model of a provider) after the other until one answers; every
attempt is reserved in the ledger, sent and settled by `kernel.outbound.exchange`. Bodies are bytes all the way.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from ossature.kernel import deadline
from ossature.kernel.context import Ctx
from ossature.kernel.errors import Problem
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.exchange import Exchange
from ossature.kernel.outbound.http import HttpStream
from ossature.kernel.outbound.judging import UNREADABLE, judged
from ossature.kernel.outbound.kinds import LONGEST_RATE_WAIT_S, RULES, ProviderUnavailable, again_after, problem_of
from ossature.kernel.outbound.occasion import Nothing
from ossature.kernel.outbound.placing import redacted
from ossature.kernel.outbound.policy import Options
from ossature.kernel.outbound.provider import ErrorKind, Refusal, Reply, StreamDecoder
from ossature.kernel.retry import Budget, Retry, Verdict
from ossature.services.hub.domain.chat import ChatRequest, Completion, Seat
from ossature.services.hub.ports import Declined
from ossature.services.hub.usecases.seating import Course, Seating, Turn

T = TypeVar("T")

_RETRY = Retry("chat", first_s=0.1, most_s=1.0, total_s=600.0, longest_asked_s=LONGEST_RATE_WAIT_S)
_MOST_ERROR_BYTES = 64 * 1024
# What the other side may have read and counted is not said a second time: a prompt costs money.
_NEVER_AGAIN = frozenset({ErrorKind.TIMEOUT_AFTER_SEND, ErrorKind.TRUNCATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole answer. cost_microusd: of all attempts; None where the price of the model is unknown."""

    completion: Completion
    seat: Seat
    provider: str
    attempts: int
    cost_microusd: int | None


class Told:
    """A streamed answer that has begun: iterate it once for blocks of whole events."""

    def __init__(self, turn: Turn, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self.seat = turn.seat
        self.provider = turn.candidate.provider.id
        self.attempts = len(turn.course.occasion.notes) + 1
        self._first = first
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Events. Raises: Refusal when it fails in the middle; nobody else is asked then."""
        yield self._first
        async for block in self._rest:
            yield block


class Chats:
    """Asks language models. One per process."""

    def __init__(self, exchange: Exchange, seating: Seating, board: Board) -> None:
        self._exchange = exchange
        self._board = board
        self._budgets: dict[str, Budget] = {}
        self.seating = seating

    async def complete(self, ctx: Ctx, request: ChatRequest) -> Answered:
        """The whole answer of the first model that gives one. Raises: ModelNotFound, BadChat, those of `kinds.py`."""
        course = await self.seating.course(ctx, request)
        with deadline.within(course.limit_s):
            turn, completion = await self._tried(course, self._completed)
        usage, card = completion.usage, self.seating.catalogue.card(turn.seat)
        if usage is not None:
            self.seating.token_bounds.learn(turn.seat.model, course.prompt_bytes, usage.tokens_in)
        priced = usage is not None and card is not None and card.usd_in is not None
        return Answered(
            completion=completion,
            seat=turn.seat,
            provider=turn.candidate.provider.id,
            attempts=len(course.occasion.notes),
            cost_microusd=course.occasion.cost_microusd if priced else None,
        )

    @asynccontextmanager
    async def tell(self, ctx: Ctx, request: ChatRequest) -> AsyncIterator[Told]:
        """A streamed answer that has begun. Leaving the block early cancels it and settles what was said.

        Raises: as `complete`, before the first event.
        """
        course = await self.seating.course(ctx, request)
        with deadline.within(course.limit_s):
            _, (stack, told) = await self._tried(course, self._begun)
        async with stack:
            yield told

    async def _tried(self, course: Course, work: Callable[[Turn], Awaitable[T]]) -> tuple[Turn, T]:
        """What the first seat that succeeds gives, and which it was. Raises: the problem of the last one."""
        last: Refusal | None = None
        turn: Turn | None = None
        too_small = 0
        for seat in course.seats:
            if deadline.remaining_s(1.0) <= 0:
                break
            if too_small and self._context_tokens(seat) <= too_small:
                continue
            next_turn = await self.seating.turn(course, seat)
            if next_turn is None:
                continue
            turn = next_turn
            try:
                return turn, await self._repeated(turn, work)
            except Refusal as refusal:
                last = refusal
                if refusal.kind is ErrorKind.CONTEXT_LENGTH:
                    too_small = max(too_small, self._context_tokens(seat), 1)
                elif not RULES[refusal.kind].falls_back and refusal.kind is not ErrorKind.NOT_FOUND:
                    break
        raise _problem(course, turn, last) from last

    def _context_tokens(self, seat: Seat) -> int:
        card = self.seating.catalogue.card(seat)
        return (card.context_tokens or 0) if card is not None else 0

    async def _repeated(self, turn: Turn, work: Callable[[Turn], Awaitable[T]]) -> T:
        """What a seat gives, asked again where that helps. Raises: Refusal."""
        turn.course.occasion.options = Options(model=turn.seat.model)

        def judge(refusal: Refusal) -> Verdict | None:
            again = refusal.kind not in _NEVER_AGAIN and self._board.breaker(turn.candidate.breaker).lets_through()
            return again_after(refusal) if again else None

        budget = self._budgets.setdefault(turn.seat.provider, Budget())
        return await _RETRY.run(lambda: work(turn), on=(Refusal,), judge=judge, budget=budget)

    async def _completed(self, turn: Turn) -> Completion:
        chat, candidate = turn.chat, turn.candidate
        codec = candidate.codec

        def finish(reply: Reply) -> tuple[Completion, Mapping[str, int]]:
            completion: Completion
            if codec.compute is not None:
                completion = codec.compute(chat, candidate.account)
            else:
                assert codec.decode is not None  # noqa: S101 - a codec that encodes also decodes
                completion = codec.decode(chat, reply)
            return completion, completion.usage.units if completion.usage is not None else {}

        return await self._exchange.run(turn.course.occasion, candidate, turn.step, finish)

    async def _begun(self, turn: Turn) -> tuple[AsyncExitStack, Told]:
        """A stream of which the first words are there; the stack closes it. Raises: Refusal."""
        chat, candidate, occasion = turn.chat, turn.candidate, turn.course.occasion
        codec, step = candidate.codec, turn.step
        assert codec.stream is not None  # noqa: S101 - every model provider streams
        reader = codec.stream(chat)
        async with AsyncExitStack() as stack:
            attempt = await stack.enter_async_context(self._exchange.attempt(occasion, candidate, step))
            stack.callback(lambda: attempt.units.update(self._counted(turn, reader)))
            if isinstance(step, Nothing):
                assert codec.compute is not None  # noqa: S101 - what is not sent is made here
                source = _made(codec.compute(chat, candidate.account), reader)
            else:
                reply = await stack.enter_async_context(self._exchange.streamed(attempt, step))
                self._exchange.fullness.heard(candidate, reply.head)
                if not reply.head.ok:
                    judged(codec, await _whole(reply))
                source = _events(reply, reader)
            stack.push_async_callback(source.aclose)
            told = Told(turn, await anext(source, b""), source)
            return stack.pop_all(), told
        raise AssertionError  # the block returns or raises

    def _counted(self, turn: Turn, reader: StreamDecoder) -> Mapping[str, int]:
        """What a stream used; its prompt teaches how long prompts are."""
        units = reader.units
        if units.get("tokens_in", 0) != turn.chat.tokens_in:  # our own bound, where nobody counted, teaches nothing
            self.seating.token_bounds.learn(turn.seat.model, turn.course.prompt_bytes, units.get("tokens_in", 0))
        return units


def _problem(course: Course, turn: Turn | None, last: Refusal | None) -> Problem:
    """What the caller is told at the end."""
    if turn is None:
        missing = sorted(set(course.missing))
        return ProviderUnavailable("No model can answer this now.", missing=missing, candidates=course.reasons)
    last = last or Refusal(ErrorKind.TIMEOUT_AFTER_SEND, "Time was up.")
    notes = course.occasion.notes
    attempts = [{"provider": note.provider, "kind": note.kind, "ms": note.ms, "detail": note.detail} for note in notes]
    # What an upstream says of our key is nothing for our caller.
    ours = last.kind is ErrorKind.AUTH
    detail = "The provider refused our credential." if ours else redacted(last.detail, turn.candidate.credential)
    facts = {"param": last.param, "code": last.code} if isinstance(last, Declined) and not ours else {}
    return problem_of(
        last.kind, detail=detail, retry_after_s=last.retry_after_s, attempts=attempts, model=str(turn.seat), **facts
    )


async def _events(reply: HttpStream, reader: StreamDecoder) -> AsyncGenerator[bytes]:
    """Blocks of whole events. Raises: Refusal."""
    async for chunk in reply.chunks():
        try:
            events = reader.feed(chunk)
        except UNREADABLE as error:
            raise Refusal(ErrorKind.DECODE, "The stream was not understood.") from error
        if events:
            yield b"".join(events)
    last = reader.end()
    if last:
        yield b"".join(last)


async def _made(completion: Completion, reader: StreamDecoder) -> AsyncGenerator[bytes]:
    """The events of an answer that was made here."""
    yield b"".join((*reader.feed(completion.body), *reader.end()))


async def _whole(reply: HttpStream) -> Reply:
    """A refusal with its body, as far as one reads it."""
    body = bytearray()
    async for chunk in reply.chunks():
        body += chunk
        if len(body) > _MOST_ERROR_BYTES:
            break
    return replace(reply.head, body=bytes(body))
