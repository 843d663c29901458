"""How many at once, and how long: places at a provider and at a host, the deadline of whoever asks, one probe for all."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiohttp import web

from ossature.kernel import deadline
from ossature.kernel.db.engine import Database
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.board import SYNC_S, Board
from ossature.kernel.outbound.breaker import BreakerKey, BreakerState
from ossature.kernel.outbound.http import HttpRequest, Outcome, Undelivered
from ossature.kernel.outbound.kinds import ProviderRateLimited, ProviderTimeout
from ossature.kernel.outbound.manifest import TimeLimits
from ossature.kernel.outbound.provider import ErrorKind
from ossature.kernel.outbound.settings import OutboundSettings
from tests.kernel.outbound.conftest import Bench, Question, Someone, Upstream, a_provider


class Slow:
    """Answers when it is let, and knows how many it had at once."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.now = 0
        self.most = 0

    async def __call__(self, _request: web.Request) -> web.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.let.wait()
        finally:
            self.now -= 1
        return web.json_response({"t": 1})


PATIENT = TimeLimits(connect_s=5, first_byte_s=5, total_s=10)


async def test_a_provider_has_only_so_many_places(upstream: Upstream, bench: Bench) -> None:
    slow = upstream.answers["/sky"] = Slow()
    engine = bench.engine(a_provider(upstream, "sky", max_concurrency=2, time_limits=PATIENT))
    asked = [asyncio.create_task(engine.ask(Someone(), "weather.now", Question(str(n)))) for n in range(6)]
    await asyncio.sleep(0.3)
    assert slow.now == 2
    slow.let.set()
    answers = await asyncio.gather(*asked)
    assert (slow.most, len(answers)) == (2, 6)


async def test_who_gets_no_place_in_time_goes_to_the_next_provider(upstream: Upstream, bench: Bench) -> None:
    slow = upstream.answers["/full"] = Slow()
    upstream.answers["/free"] = {"t": 2}
    full = a_provider(upstream, "full", max_concurrency=1, time_limits=PATIENT, rank=90)
    engine = bench.engine(full, a_provider(upstream, "free", rank=10))
    first = asyncio.create_task(engine.ask(Someone(), "weather.now", Question("a"), order=["full"]))
    while not slow.now:  # noqa: ASYNC110 - the upstream runs in this loop
        await asyncio.sleep(0.01)
    second = await engine.ask(Someone(), "weather.now", Question("b"), order=["full"])
    assert [(note.provider, note.kind) for note in second.meta.attempts] == [("full", "rate"), ("free", "ok")]
    slow.let.set()
    assert (await first).meta.provider == "full"


async def test_a_crowded_provider_alone_is_a_rate_limit_and_took_nothing(upstream: Upstream, bench: Bench) -> None:
    slow = upstream.answers["/full"] = Slow()
    engine = bench.engine(a_provider(upstream, "full", max_concurrency=1, time_limits=PATIENT))
    first = asyncio.create_task(engine.ask(Someone(), "weather.now", Question("a")))
    while not slow.now:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    with pytest.raises(ProviderRateLimited, match="1 calls are under way"):
        await engine.ask(Someone(), "weather.now", Question("b"))
    slow.let.set()
    await first
    assert upstream.count("/full") == 1


@pytest.fixture
async def narrow() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient(OutboundSettings(connections_per_host=2))
    yield client
    await client.close()


async def test_a_host_has_only_so_many_connections(upstream: Upstream, narrow: AiohttpClient) -> None:
    slow = upstream.answers["/sky"] = Slow()

    def request(connect_s: float) -> HttpRequest:
        limits = TimeLimits(connect_s=connect_s, first_byte_s=5, total_s=10)
        return HttpRequest(
            method="GET", url=f"{upstream.url}/sky", hosts=frozenset({"127.0.0.1"}), private=True, limits=limits
        )

    two = [asyncio.create_task(narrow.send(request(5))) for _ in range(2)]
    while slow.now < 2:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    with pytest.raises(Undelivered) as raised:
        await narrow.send(request(0.2))
    assert (raised.value.outcome, raised.value.kind) == (Outcome.NOT_SENT, ErrorKind.TIMEOUT_BEFORE_SEND)
    slow.let.set()
    assert [reply.status for reply in await asyncio.gather(*two)] == [200, 200]
    assert slow.most == 2


async def test_nobody_is_asked_for_longer_than_whoever_asks_has_time(upstream: Upstream, bench: Bench) -> None:
    upstream.answers["/sky"] = Slow()
    engine = bench.engine(a_provider(upstream, "sky", time_limits=PATIENT))
    started = asyncio.get_running_loop().time()
    with deadline.within(0.3), pytest.raises(ProviderTimeout):
        await engine.ask(Someone(), "weather.now", Question())
    assert asyncio.get_running_loop().time() - started < 3


def _shut(board: Board, key: BreakerKey) -> None:
    """Its time of being left alone is over: the next one looks whether the provider is back."""
    for _ in range(5):
        board.breaker(key).enter()
        board.leave(key, failed=True, ms=1)
    board.breaker(key).open(for_s=0)


async def test_one_process_looks_for_all(database: Database) -> None:
    key = BreakerKey(f"sky_{uuid4().hex[:6]}", "weather", "k1")
    boards = [Board(database) for _ in range(4)]
    for board in boards:
        _shut(board, key)
    let = await asyncio.gather(*(board.enter(key) for board in boards))
    assert sorted(let) == [False, False, False, True]
    looking = boards[let.index(True)]
    others = [board for board in boards if board is not looking]
    assert all(board.breaker(key).state is BreakerState.OPEN for board in others)
    assert all(board.breaker(key).retry_after_s <= SYNC_S for board in others)
    looking.leave(key, failed=False, ms=1)
    await looking.sync()
    for board in others:
        await board.sync()
    assert all(board.breaker(key).state is BreakerState.CLOSED for board in boards)
    for board in boards:
        await board.close()


async def test_after_a_look_that_failed_nobody_else_looks_at_once(database: Database) -> None:
    key = BreakerKey(f"sky_{uuid4().hex[:6]}", "weather", "k1")
    one, two = Board(database), Board(database)
    for board in (one, two):
        _shut(board, key)
    assert await one.enter(key)
    one.leave(key, failed=True, ms=1)
    assert not await two.enter(key)
    await one.close()


async def test_a_look_that_said_nothing_is_left_to_the_next(database: Database) -> None:
    key = BreakerKey(f"sky_{uuid4().hex[:6]}", "weather", "k1")
    one, two = Board(database), Board(database)
    for board in (one, two):
        _shut(board, key)
    assert await one.enter(key)
    one.leave(key, failed=None, ms=1)
    await one.close()  # what it had to give back is given back
    assert await two.enter(key)


async def test_a_database_that_is_away_keeps_nobody_from_looking(database: Database) -> None:
    key = BreakerKey(f"sky_{uuid4().hex[:6]}", "weather", "k1")
    board = Board(Database(database.settings.model_copy(update={"url": "postgresql+asyncpg://nobody@127.0.0.1:1/x"})))
    _shut(board, key)
    assert await board.enter(key)
