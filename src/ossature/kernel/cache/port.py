"""What the cache promises, and what it asks of the places where it keeps things."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long an answer is kept.

    ttl_s: how long it is fresh. revalidate_s: for this long after that it is still given while a new one is fetched
    behind it. error_s: for this long it is given, marked stale, when no new one can be had. negative_ttl_s: how long
    "there is none" (None) is believed; 0 does not keep it. adaptive: the time of freshness shrinks, down to a quarter,
    for answers that change at every fetch, and grows back for those that do not.
    """

    ttl_s: float
    revalidate_s: float = 0.0
    error_s: float = 0.0
    negative_ttl_s: float = 0.0
    adaptive: bool = False

    @property
    def longest_stale_s(self) -> float:
        """How long after its freshness an answer is of any use."""
        return max(self.revalidate_s, self.error_s)


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """An answer from the cache, or fetched for it.

    how: `hit` (fresh), `stale` (given while another is fetched, or because none could be), `miss` (fetched now).
    made_at: when the answer was fetched.
    """

    value: V
    how: str
    made_at: datetime

    @property
    def is_stale(self) -> bool:
        """Whether it is past its freshness."""
        return self.how == "stale"


@dataclass(frozen=True, slots=True)
class Filled(Generic[V]):
    """A fetched value that says itself how long it is good, and what it belongs to.

    ttl_s: at most this fresh (an upstream's `max-age`); None leaves it to `Keep`. keep: False for a value that must
    not be kept.
    """

    value: V
    ttl_s: float | None = None
    tags: tuple[str, ...] = ()
    keep: bool = True


class Packing(Protocol[V]):
    """How a room's values become bytes for the second level."""

    def pack(self, value: V, /) -> bytes:
        """The bytes of a value."""

    def unpack(self, body: bytes, /) -> V:
        """The value of those bytes. Raises: ValueError for bytes of another version."""


class Level2(Protocol):
    """A store that processes share, or that survives them. Keys are complete; entries are opaque bytes.

    Every method raises OSError when the store cannot be reached in time.
    """

    name: str

    async def get(self, key: str, /) -> bytes | None:
        """An entry."""

    async def put(self, key: str, entry: bytes, /, *, lives_s: float, tags: Sequence[str]) -> None:
        """Keep an entry for a time."""

    async def claim(self, key: str, /, *, for_s: float) -> str | None:
        """The right to fetch this key, as a token; None while somebody else has it."""

    async def yield_claim(self, key: str, token: str, /) -> None:
        """Give that right back, if it is still ours."""

    async def remove(self, keys: Sequence[str], /) -> int:
        """Forget entries; how many there were."""

    async def remove_tag(self, prefix: str, tag: str, /) -> int:
        """Forget what was kept under a tag; how many."""

    async def remove_like(self, pattern: str, /) -> int:
        """Forget keys that match a pattern with `*` and `?`; how many."""

    async def size(self, prefix: str, /) -> tuple[int, int]:
        """How many entries begin so, and roughly their bytes."""

    async def close(self) -> None:
        """Let go of the store."""


class Signals(Protocol):
    """How processes tell each other to forget; `kernel.events` keeps this promise."""

    def publish(self, topic: str, payload: Mapping[str, Any] | None = None) -> None:
        """Tell every process, this one included."""

    def subscribe(
        self, topic: str, callback: Callable[[Mapping[str, Any]], None], *, lost: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Hear of a topic; `lost` is called when something may have been missed. The result ends it."""
