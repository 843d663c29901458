"""What a trip needs in a vehicle, and how a vehicle can be arranged."""

from collections.abc import Iterable
from typing import Final, NamedTuple

DIMENSIONS: Final = ("seats", "wheelchairs", "electric_wheelchairs", "stretchers", "child_seats")
"""In this order everywhere; the order is stored."""
LAYOUTS_MOST = 16


class Load(NamedTuple):
    """An amount in every dimension: what rides, or what a layout holds."""

    seats: int = 0
    wheelchairs: int = 0
    electric_wheelchairs: int = 0
    stretchers: int = 0
    child_seats: int = 0

    def __add__(self, other: object) -> "Load":
        if not isinstance(other, tuple) or len(other) != len(self):
            return NotImplemented
        return Load(*(mine + its for mine, its in zip(self, other, strict=True)))

    def __radd__(self, other: object) -> "Load":
        """For `sum`, which begins with 0."""
        return self if other == 0 else self.__add__(other)

    def __str__(self) -> str:
        return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in zip(DIMENSIONS, self, strict=True) if n) or "0"

    def within(self, layout: "Load") -> bool:
        """Whether a layout has room for it, in every dimension."""
        return all(need <= room for need, room in zip(self, layout, strict=True))


NOTHING: Final = Load()


def fits(load: Load, layouts: Iterable[Load]) -> bool:
    """Whether one of the layouts holds a load."""
    return any(load.within(layout) for layout in layouts)


def layouts_for(load: Load, layouts: Iterable[Load]) -> tuple[Load, ...]:
    """The layouts that hold a load."""
    return tuple(layout for layout in layouts if load.within(layout))
