"""What a process read from where secrets are kept, and for how long it trusts that."""

from collections.abc import Callable, Mapping

from ossature.kernel import clock
from ossature.kernel.config import SourceAway

Place = tuple[str, ...]

_read: dict[Place, tuple[float, Mapping[str, str]]] = {}
"""Values by place, with the Unix time until which it is not asked for again."""


def trusted(place: Place, read: Callable[[], Mapping[str, str]], *, ttl_s: float) -> Mapping[str, str]:
    """What `read` gave within the last `ttl_s`, else gives now; while the place is away, what it gave before.

    Raises: SourceAway when it was never reached.
    """
    until, values = _read.get(place, (0.0, {}))
    if clock.unix_s() >= until:
        try:
            values = read()
        except SourceAway:
            if place not in _read:
                raise
        _read[place] = (clock.unix_s() + ttl_s, values)
    return values


def forget(place: Place) -> None:
    """Read it anew next time."""
    _read.pop(place, None)
