"""Streamed answers: items as they come, of the first provider that gives one; never two providers in one stream."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from ossature.kernel.outbound.asking import Asking, encoded
from ossature.kernel.outbound.http import HttpStream
from ossature.kernel.outbound.judging import UNREADABLE, judged
from ossature.kernel.outbound.occasion import Attempt, Occasion
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import ErrorKind, Refusal, Reply, StreamDecoder

_MOST_ERROR_BYTES = 64 * 1024


class Stream:
    """The items of one streamed answer. Iterate it once."""

    def __init__(self, occasion: Occasion, candidate: Candidate, source: AsyncIterator[Any], first: list[Any]) -> None:
        self._occasion = occasion
        self._source = source
        self._first = deque(first)
        self.provider = candidate.provider.id
        self.licence = candidate.provider.manifest.licence
        self.attribution = candidate.provider.manifest.attribution

    @property
    def attempts(self) -> list[Mapping[str, Any]]:
        """Attempts that ended so far; this one is among them once the stream is left."""
        return [note.to_dict() for note in self._occasion.notes]

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Items. Raises: Refusal when the stream fails after its first item; nobody else is asked then."""
        while self._first:
            yield self._first.popleft()
        async for item in self._source:
            yield item


@asynccontextmanager
async def open_stream(asking: Asking, occasion: Occasion, query: Any) -> AsyncIterator[Stream]:  # noqa: ANN401 - the operation says
    """A stream that has given its first item. Raises: the problem of the last candidate that gave none."""
    last: Refusal | None = None
    async with AsyncExitStack() as stack:
        opened: Stream | None = None
        for candidate in await asking.order(occasion, query):
            try:
                opened = await _entered(stack, asking, occasion, candidate, query=query)
            except Refusal as error:
                last = error
                if not asking.falls_back(error, occasion):
                    break
                continue
            break
        if opened is None:
            raise asking.problem(last, occasion) from last
        yield opened


async def _entered(
    stack: AsyncExitStack,
    asking: Asking,
    occasion: Occasion,
    candidate: Candidate,
    *,
    query: Any,  # noqa: ANN401 - the operation says
) -> Stream:
    """The stream of one candidate, open for as long as the stack is; closed again if it gives no item."""
    own = AsyncExitStack()
    try:
        stream = await own.enter_async_context(_attempted(asking, occasion, candidate, query=query))
    except BaseException:
        await own.aclose()
        raise
    stack.push_async_exit(own)
    return stream


@asynccontextmanager
async def _attempted(
    asking: Asking,
    occasion: Occasion,
    candidate: Candidate,
    *,
    query: Any,  # noqa: ANN401 - the operation says
) -> AsyncIterator[Stream]:
    codec = candidate.codec
    if codec.stream is None:
        raise Refusal(ErrorKind.POLICY, f"{candidate.provider.id} does not stream this.")
    sending = encoded(candidate, query)
    decoder = codec.stream(query)
    exchange = asking.exchange
    async with exchange.attempt(occasion, candidate, sending) as attempt, exchange.streamed(attempt, sending) as reply:
        try:
            if not reply.head.ok:
                judged(codec, await _error_of(reply))
            source = _items(reply, decoder, attempt)
            first = await _first_of(source)
            occasion.answered_by = candidate
            yield Stream(occasion, candidate, source, first)
        finally:
            _count(attempt, decoder)


async def _first_of(source: AsyncIterator[Any]) -> list[Any]:
    async for item in source:
        return [item]
    return []


async def _items(reply: HttpStream, decoder: StreamDecoder, attempt: Attempt) -> AsyncIterator[Any]:
    """Items as their bytes come. What precedes an error is given before it is raised, unless nothing was given yet."""
    attempt.partial = True
    given = False
    async for chunk in reply.chunks():
        items, error = _read(partial(decoder.feed, chunk))
        if error is None or given:
            for item in items:
                given = True
                yield item
        if error is not None:
            raise error
    items, error = _read(decoder.end)
    if error is not None:
        raise error
    attempt.partial = False
    for item in items:
        yield item


def _read(give: Callable[[], Iterable[Any]]) -> tuple[list[Any], Refusal | None]:
    """The items that a decoder gives, and the refusal that ended them."""
    items: list[Any] = []
    try:
        items.extend(give())
    except Refusal as refusal:
        return items, refusal
    except UNREADABLE:
        return items, Refusal(ErrorKind.DECODE, "The stream was not understood.")
    return items, None


async def _error_of(reply: HttpStream) -> Reply:
    """The reply of a refused stream with its body, as far as one reads it."""
    body = bytearray()
    async for chunk in reply.chunks():
        body += chunk
        if len(body) > _MOST_ERROR_BYTES:
            break
    head = reply.head
    return Reply(head.status, head.headers, bytes(body), head.url, received_at=head.received_at)


def _count(attempt: Attempt, decoder: StreamDecoder) -> None:
    """What the upstream counted, if it said so."""
    attempt.units |= decoder.units
