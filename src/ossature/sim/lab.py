"""The running simulation: world, clock, faults, journal and one site per provider."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson

from ossature.sim.clock import Clock
from ossature.sim.faults import Fault, FaultBook
from ossature.sim.journal import Journal
from ossature.sim.limits import Limit
from ossature.sim.provider import Provider
from ossature.sim.site import Site
from ossature.sim.world.world import make_world


class UnknownProviderError(KeyError):
    """Nobody of that name is simulated."""


class KeptError(ValueError):
    """What was kept of an earlier simulation cannot be used."""


class Lab:
    """Everything that the control routes read and change."""

    def __init__(
        self,
        providers: Iterable[Provider],
        *,
        seed: int,
        clock: Clock,
        limits: Mapping[str, tuple[Limit, ...]],
        faults: Iterable[Fault],
        kept_in: Path | None = None,
    ) -> None:
        self.seed = seed
        self.world = make_world(seed)
        self.clock = clock
        self.journal = Journal()
        self.faults = FaultBook(seed)
        self._first_faults = tuple(faults)
        self._first_limits = dict(limits)
        self.sites = {provider.id: Site(provider, faults=self.faults, limits=provider.limits) for provider in providers}
        for provider_id in limits:
            self.site(provider_id)
        self._kept_in: Path | None = None
        self.reset()
        if kept_in is not None:
            self._recall(kept_in)
            self._kept_in = kept_in

    def site(self, provider_id: str) -> Site:
        """Return the site of that provider. Raises: UnknownProviderError."""
        try:
            return self.sites[provider_id]
        except KeyError:
            raise UnknownProviderError(provider_id) from None

    def reset(self) -> None:
        """Go back to the moment of the start: counts, windows, limits, faults and clock."""
        for provider_id, site in self.sites.items():
            site.reset(self._first_limits.get(provider_id, site.provider.limits))
        self.faults.replace(self._first_faults)
        self.journal.clear()
        self.clock.reset()
        self.keep()

    def keep(self) -> None:
        """Write down what upstreams remember, if a file was given for that: whole, and in place of the old one."""
        if self._kept_in is None:
            return
        kept = {name: site.state.dump() for name, site in self.sites.items() if site.state is not None}
        part = self._kept_in.with_name(self._kept_in.name + ".part")
        part.write_bytes(orjson.dumps(kept))
        part.replace(self._kept_in)

    def _recall(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            for name, state in orjson.loads(path.read_bytes()).items():
                remembers = self.site(name).state
                if remembers is not None:
                    remembers.load(state, self.clock.now())
        except (OSError, ValueError, LookupError, AttributeError) as wrong:
            raise KeptError(f"{path}: {wrong}") from None
