"""Group commit: what is asked while a transaction runs goes into the next one, together.

Nobody waits for a timer: a lone ask starts at once, and under load the groups grow by themselves.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.book import Ask, Clamp, End, Reserve
from ossature.kernel.outbound.ledger.metrics import count_reaped
from ossature.kernel.outbound.ledger.values import (
    AttemptExists,
    AttemptState,
    LedgerUnavailable,
    Refused,
    Reservation,
    Reserved,
    WindowSpec,
)

GROUP_MOST = 256
"""Asks in one transaction: a larger group gains nothing more, and makes other processes wait."""

_Waiting = tuple[Ask, asyncio.Future[object]]


class GroupCommit:
    """The queue before a store. `run` answers a group of asks in one transaction, all or none.

    run raises: LedgerUnavailable; AttemptExists when any reservation of the group is not new.
    """

    def __init__(self, run: Callable[[Sequence[Ask]], Awaitable[list[object]]]) -> None:
        self._run = run
        self._waiting: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    def ask(self, ask: Ask) -> asyncio.Future[object]:
        """A future of the answer. Cancelled by whoever waits, a reservation is released again."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(LedgerUnavailable("The ledger is closed."))
            return future
        self._append(ask, future)
        return future

    def unheard(self, future: asyncio.Future[object]) -> None:
        """Whoever waited left in the very moment in which the answer came: release what it reserved."""
        if not self._closed and future.done() and not future.cancelled() and future.exception() is None:
            answer = future.result()
            if isinstance(answer, Reserved):
                self._give_back(answer)

    async def close(self) -> None:
        """Finish what was asked, then refuse."""
        self._closed = True
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        group: list[_Waiting] = []
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(GROUP_MOST, len(self._waiting)))]
                # What ends an attempt counts even if nobody waits for the answer.
                group = [each for each in group if not (each[1].cancelled() and isinstance(each[0], Reserve))]
                if group:
                    await self._commit(group)
        except BaseException as error:
            # A fault of ours: whoever waits must hear of it, and not wait for ever.
            self._fail(group, error if isinstance(error, Exception) else LedgerUnavailable())
            raise
        finally:
            self._worker = None

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            answers = await self._run([ask for ask, _ in group])
        except AttemptExists as error:
            if len(group) == 1:
                _tell(group[0][1], error)
                return
            for each in group:
                await self._commit([each])
        except LedgerUnavailable as error:
            self._fail(group, error)
        else:
            for (ask, future), answer in zip(group, answers, strict=True):
                if not _tell(future, answer) and isinstance(ask, Reserve) and isinstance(answer, Reserved):
                    self._give_back(answer)

    def _give_back(self, answer: Reserved) -> None:
        """Release what was reserved for somebody who has left meanwhile."""
        release = End(answer.attempt_id, AttemptState.RELEASED, {}, "cancelled")
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.add_done_callback(asyncio.Future.exception)  # not told in time, it is left to the reaper
        self._append(release, future)

    def _append(self, ask: Ask, future: asyncio.Future[object]) -> None:
        self._waiting.append((ask, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="ledger")

    def _fail(self, group: list[_Waiting], error: Exception) -> None:
        """Tell a group, and all who have been waiting behind it: they have waited as long."""
        while self._waiting:
            group.append(self._waiting.popleft())
        for _, future in group:
            _tell(future, error)


def _tell(future: asyncio.Future[object], answer: object) -> bool:
    """Give an answer to whoever waits; False if nobody does any more."""
    if future.done():
        return False
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
    return True


class GroupedLedger(ABC):
    """What every back-end does alike: asks become members of a group, and the group one transaction."""

    def __init__(self) -> None:
        self._group = GroupCommit(self._run)

    @abstractmethod
    async def _run(self, asks: Sequence[Ask]) -> list[object]:
        """Answer a group in one transaction; see GroupCommit."""

    @abstractmethod
    async def _expired(self, limit: int) -> list[UUID]:
        """Open attempts whose time is over, the oldest first."""

    async def reserve(self, reservation: Reservation, /) -> Reserved | Refused:
        """Take from all windows or from none. Raises: AttemptExists, LedgerUnavailable."""
        future = self._group.ask(Reserve(reservation))
        try:
            return cast("Reserved | Refused", await future)
        except asyncio.CancelledError:
            self._group.unheard(future)
            raise

    async def settle(
        self, attempt_id: UUID, units: Mapping[str, int], /, *, estimated: bool = False, outcome: str = "ok"
    ) -> bool:
        """Charge what was really used; True if this call ended the attempt. Raises: LedgerUnavailable."""
        return bool(await self._group.ask(End(attempt_id, AttemptState.SETTLED, units, outcome, estimated)))

    async def release(self, attempt_id: UUID, /, *, outcome: str = "not_sent") -> bool:
        """Give back what was taken; True if this call did it. Raises: LedgerUnavailable."""
        return bool(await self._group.ask(End(attempt_id, AttemptState.RELEASED, {}, outcome)))

    async def clamp(self, window: WindowSpec, /, *, remaining: int, reset_at: datetime | None = None) -> None:
        """Believe the upstream when it says that less is left than we think. Raises: LedgerUnavailable."""
        await self._group.ask(Clamp(window, remaining, windows.to_us(reset_at) if reset_at else None))

    async def reap(self, *, limit: int = 1_000) -> int:
        """Charge open attempts that expired, as reserved; how many. Raises: LedgerUnavailable."""
        expired = await self._expired(limit)
        ends = [self._group.ask(End(each, AttemptState.REAPED, {}, "expired", estimated=True)) for each in expired]
        reaped = sum(bool(ended) for ended in await asyncio.gather(*ends))
        count_reaped(reaped)
        return reaped
