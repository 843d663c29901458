"""The queue before a store: what becomes of an answer when whoever asked has left."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from ossature.kernel.outbound.ledger.book import Ask, End, Reserve
from ossature.kernel.outbound.ledger.commit import GroupedLedger
from ossature.kernel.outbound.ledger.values import AttemptState, Reservation, Reserved

ATTEMPT = UUID(int=1)
RESERVATION = Reservation(
    attempt_id=ATTEMPT,
    request_id="r",
    tenant_id=UUID(int=7),
    provider="acme",
    operation="weather.now",
    takes=(),
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
)


class Store(GroupedLedger):
    """Everything has room. busy: while set, groups wait. then: called in the moment in which a group is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Ask] = []
        self.free = asyncio.Event()
        self.free.set()
        self.then = lambda: None

    async def _run(self, asks: Sequence[Ask]) -> list[object]:
        self.seen += asks
        await self.free.wait()
        self.then()
        return [Reserved(ask.reservation.attempt_id) if isinstance(ask, Reserve) else True for ask in asks]

    async def _expired(self, limit: int) -> list[UUID]:
        del limit
        return []

    async def settled(self) -> None:
        """Return once nothing waits."""
        await self._group.close()

    @property
    def ends(self) -> list[AttemptState]:
        """How attempts ended, in order."""
        return [ask.state for ask in self.seen if isinstance(ask, End)]


async def test_who_leaves_in_the_moment_of_the_answer_has_reserved_nothing() -> None:
    store = Store()
    asking = asyncio.create_task(store.reserve(RESERVATION))
    # The cancellation is in the loop's queue before the answer is: it is delivered when the future is done already.
    store.then = lambda: asyncio.get_running_loop().call_soon(asking.cancel) and None

    (left,) = await asyncio.gather(asking, return_exceptions=True)
    await store.settled()

    assert isinstance(left, asyncio.CancelledError)
    assert store.ends == [AttemptState.RELEASED]


async def test_the_end_of_an_attempt_counts_even_if_nobody_waits_for_the_answer() -> None:
    store = Store()
    store.free.clear()
    first = asyncio.create_task(store.reserve(RESERVATION))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving = asyncio.create_task(store.settle(ATTEMPT, {"requests": 1}))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    store.free.set()

    assert await first == Reserved(ATTEMPT)
    await store.settled()
    assert store.ends == [AttemptState.SETTLED]
