"""A small allowance for the time when the ledger cannot be asked: free reads may go on, at a fraction of their limits."""

from collections.abc import Iterable
from dataclasses import replace

from ossature.kernel import clock
from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.book import Book, Cell, Reserve
from ossature.kernel.outbound.ledger.values import DayLimit, Refused, Reservation, Reserved, Take, WindowSpec

FRACTION = 10


class LocalBucket:
    """Counts in this process only: a tenth of each limit, rounded down, so that ten processes together keep to it.

    Whether an attempt may be counted here at all (a free read) is for the caller to say. What is reserved here stays
    charged: nothing is settled or given back.
    """

    def __init__(self, fraction: int = FRACTION) -> None:
        self._fraction = fraction
        self._cells: dict[tuple[str, int], Cell] = {}
        self._heads: dict[str, int] = {}

    def reserve(self, reservation: Reservation) -> Reserved | Refused:
        """Take from all windows or from none."""
        now_us = windows.to_us(clock.now())
        self._forget(now_us)
        smaller = replace(reservation, takes=tuple(self._reduced(reservation.takes)))
        ask = Reserve(smaller)
        book = Book(now_us, cells=self._cells)
        book.needs([ask])
        book.learn((), ())
        for name, next_us in self._heads.items():
            book.head(name).next_us = next_us
        answer = book.decide([ask])[0]
        self._heads = {name: head.next_us for name, head in book.heads.items() if head.next_us > now_us}
        if isinstance(answer, Refused):
            original = next(take.window for take in reservation.takes if take.window.name == answer.window.name)
            return Refused(original, answer.retry_after_s)
        assert isinstance(answer, Reserved)  # noqa: S101 - the only other answer, since the book is empty of attempts
        return answer

    def _reduced(self, takes: Iterable[Take]) -> Iterable[Take]:
        for take in takes:
            window = take.window
            yield Take(_reduced(window, self._fraction), take.units)

    def _forget(self, now_us: int) -> None:
        for key in [key for key, cell in self._cells.items() if cell.ends_us <= now_us]:
            del self._cells[key]


def _reduced(window: WindowSpec, fraction: int) -> WindowSpec:
    limits = tuple(DayLimit(each.starts, each.ends, each.limit // fraction) for each in window.limits)
    return replace(window, limit=window.limit // fraction, limits=limits)
