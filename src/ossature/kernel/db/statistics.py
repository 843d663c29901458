"""What one request or job asked of the database: counts, time, and patterns that repeat (N+1)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import structlog

from ossature.kernel.errors import Problem

log = structlog.get_logger()


class StatementsRepeat(Problem):
    """The same statement was sent many times for one answer (an N+1 pattern): read the rows in one query."""

    title = "Statements repeat"


@dataclass(slots=True)
class Statistics:
    """Counts of one request or job. `total_ms` is time spent waiting for the database."""

    count: int = 0
    total_ms: float = 0.0
    slowest_ms: float = 0.0
    slowest: str = ""
    alike: Counter[str] = field(default_factory=Counter)

    def note(self, statement: str, ms: float) -> None:
        """Count one statement that took `ms`."""
        self.count += 1
        self.total_ms += ms
        self.alike[statement] += 1
        if ms > self.slowest_ms:
            self.slowest_ms, self.slowest = ms, statement

    def check_repeats(self, *, limit: int, mode: Literal["raise", "warn"]) -> None:
        """Complain when alike statements reached `limit`.

        Raises: StatementsRepeat in mode `raise` (tests); mode `warn` writes a log line.
        """
        if self.count < limit:
            return
        statement, times = self.alike.most_common(1)[0]
        if times < limit:
            return
        if mode == "raise":
            raise StatementsRepeat(f"{times} times: {statement[:300]}", times=times)
        log.warning("db.statements_repeat", times=times, statement=statement[:300])


@contextmanager
def profile_db(*sources: Statistics) -> Iterator[Statistics]:
    """Measure a block: what the given statistics gained in it, in the value that is yielded, once it has ended.

    >>> with profile_db(ctx.db.statistics) as seen: ...
    """
    before = [(s.count, s.total_ms, Counter(s.alike)) for s in sources]
    seen = Statistics()
    try:
        yield seen
    finally:
        for source, (count, total_ms, alike) in zip(sources, before, strict=True):
            seen.count += source.count - count
            seen.total_ms += source.total_ms - total_ms
            seen.alike.update(source.alike - alike)
