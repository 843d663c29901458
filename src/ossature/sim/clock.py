"""The simulator's clock: real, or standing still until it is moved."""

from datetime import UTC, datetime, timedelta

_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
STEP_START = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


class Clock:
    """The one source of `now` for every simulated upstream; aware UTC."""

    def __init__(self, *, step: bool = False) -> None:
        self._starts_in_steps = step
        self._still_at: datetime | None = None
        self._shift = timedelta()
        self.reset()

    def now(self) -> datetime:
        """Return the simulated moment."""
        return (self._still_at or datetime.now(UTC)) + self._shift

    def set(self, at: datetime) -> None:
        """Stand still at that moment. Raises: OverflowError."""
        if not _FIRST < at < _LAST:
            raise OverflowError(at)
        self._still_at, self._shift = at.astimezone(UTC), timedelta()

    def advance(self, seconds: float) -> None:
        """Move forward (or back); a running clock keeps running from there. Raises: OverflowError."""
        shift = timedelta(seconds=seconds)
        if not _FIRST < self.now() + shift < _LAST:
            raise OverflowError(seconds)
        self._shift += shift

    def follow(self) -> None:
        """Show the real time again."""
        self._still_at, self._shift = None, timedelta()

    def reset(self) -> None:
        """Go back to how the clock was at the start."""
        self._still_at, self._shift = (STEP_START if self._starts_in_steps else None), timedelta()

    @property
    def mode(self) -> str:
        """`real` while it runs, `step` while it stands still."""
        return "real" if self._still_at is None else "step"
