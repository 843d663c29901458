"""The world that every simulated upstream describes: the same seed gives the same weather, rates and answers."""

from dataclasses import dataclass
from hashlib import blake2b

from ossature.sim.world.rates import Rates
from ossature.sim.world.sky import Sky


@dataclass(frozen=True, slots=True)
class World:
    """One seeded world."""

    seed: int
    sky: Sky
    rates: Rates

    def fraction(self, *about: object) -> float:
        """Return a number in 0..1 that depends on the seed and the words only."""
        words = "\x1f".join(map(str, (self.seed, *about)))
        return int.from_bytes(blake2b(words.encode(), digest_size=6).digest(), "big") / float(1 << 48)

    def lean(self, provider_id: str, *about: object, by: float) -> float:
        """Return how far this provider is off the truth in this matter: a fixed number in -by..by."""
        return (2.0 * self.fraction("lean", provider_id, *about) - 1.0) * by


def make_world(seed: int) -> World:
    """Return the world of that seed."""
    return World(seed, Sky(seed), Rates(seed))
