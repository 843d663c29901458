"""What the two kernels have in common: the C++ one if it was compiled, else the Python reference."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from darp.arrays import Arrays
from darp.model import Clock
from darp.reference.model import Model as Reference

try:
    from darp import _kernel
except ImportError:
    KERNEL = "python"
else:
    KERNEL = "cpp"

Routes = list[list[int]]


class Found(NamedTuple):
    """What a search ends with. routes: nodes, one list for each vehicle. cost: without penalties."""

    routes: Routes
    unserved: list[int]
    cost: float
    iterations: int


class Engine(Protocol):
    """A kernel that holds one problem. Both give the same answers to `earliest`, `cost` and `insertions`."""

    def earliest_times(self, vehicle: int, route: Sequence[int]) -> list[float] | None:
        """The least times at which service can begin at each node, `None` if the route breaks a rule."""

    def cost(self, vehicle: int, route: Sequence[int]) -> float:
        """Arcs, fixed cost and bonuses; an unused vehicle costs nothing."""

    def insertion(self, vehicle: int, route: Sequence[int], request: int) -> tuple[float, int, int] | None:
        """The cheapest feasible place: added cost, index before the pickup, index before the drop-off, in the given route."""

    def search(
        self, seconds: float, clock: Clock, iterations: int, seed: int, threads: int, start: Sequence[Sequence[int]]
    ) -> tuple[Routes, list[int], float, int]:
        """Improve `start` until time or iterations (0: no limit) are over: the fields of `Found`."""


def engine(values: Arrays, *, reference: bool = False) -> Engine:
    """A kernel for these arrays; reference: the Python one, whatever is installed."""
    if reference or KERNEL == "python":
        return Reference(values)
    return _kernel.Model(values)
