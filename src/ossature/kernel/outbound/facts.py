"""What happens to the windows on the outside world, as facts: they reach listeners and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass

from ossature.kernel.events.crier import Crier
from ossature.kernel.outbound.board import Tell
from ossature.kernel.service import Fact


@dataclass(frozen=True, slots=True)
class ProviderDown:
    """A provider failed so often that it is left alone for a while. group: the operations that share the breaker."""

    provider: str
    group: str
    credential: str
    error: str


@dataclass(frozen=True, slots=True)
class ProviderUp:
    """A provider that was down answers again."""

    provider: str
    group: str
    credential: str
    error: str


FACTS = (
    Fact(type=ProviderDown, wire="provider.down", key="provider"),
    Fact(type=ProviderUp, wire="provider.up", key="provider"),
)
_TYPES: Mapping[str, type[ProviderDown] | type[ProviderUp]] = {"provider.down": ProviderDown, "provider.up": ProviderUp}


def telling(tell: Crier) -> Tell:
    """What the board is given, so that the house hears what it notices."""
    return lambda event, facts: tell(_TYPES[event](**facts))
