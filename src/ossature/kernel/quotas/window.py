"""One sliding window of a rate limit, counted in memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """So many in so many seconds. key: who is counted, such as `key:<id>`; name: how the window is called on the wire."""

    key: str
    name: str
    limit: int
    seconds: int


class Window:
    """Two fixed windows weighted as one that slides: exact at its edges, and never more than `limit` in a fixed one.

    The window before counts for the part of it that still lies within `seconds` of now.
    """

    __slots__ = ("before", "count", "index", "limit", "seconds", "spec")

    def __init__(self, spec: WindowSpec, *, divided_by: int = 1) -> None:
        self.spec = spec
        self.limit = max(1, spec.limit // divided_by)
        self.seconds = spec.seconds
        self.index = 0
        self.count = 0
        self.before = 0

    def resize(self, spec: WindowSpec, *, divided_by: int = 1) -> None:
        """Take another limit; what was counted stays counted."""
        self.spec = spec
        self.limit = max(1, spec.limit // divided_by)

    def left(self, now_s: float) -> float:
        """How many more may come now; below one, none."""
        seconds = self.seconds
        index = int(now_s // seconds)
        if index != self.index:
            self.before = self.count if index == self.index + 1 else 0
            self.count = 0
            self.index = index
        if not self.before:
            return self.limit - self.count
        return self.limit - self.count - self.before * (1.0 - (now_s / seconds - index))

    def follow(self, now_s: float, *, count: int, before: int) -> None:
        """Take over what a shared counter says."""
        self.index = int(now_s // self.seconds)
        self.count = count
        self.before = before

    def wait_s(self, now_s: float) -> float:
        """How long until one more may come."""
        if self.left(now_s) >= 1:
            return 0.0
        passed = now_s / self.seconds - self.index
        room = self.limit - self.count - 1
        if room >= 0:  # it is the window before that fills us
            return max(0.0, (1.0 - room / self.before - passed) * self.seconds)
        return (1.0 - passed + max(0.0, 1.0 - (self.limit - 1) / self.count)) * self.seconds

    def resets_in_s(self, now_s: float) -> int:
        """Whole seconds until the present window is over."""
        return int(self.seconds - now_s % self.seconds) + 1

    def is_over(self, now_s: float) -> bool:
        """Whether nothing in it counts any more."""
        return int(now_s // self.seconds) > self.index + 1
