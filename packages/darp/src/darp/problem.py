"""A dial-a-ride problem: who wants to go where and when, and which vehicles can take them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from darp import validation, wire
from darp.errors import ProblemError
from darp.model import LayoutChange, Request, Vehicle

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Everything that a plan depends on; raises `ProblemError`, naming each field that is wrong.

    durations: travel time from place to place. costs: what the same arcs cost, `None` is the travel time.
    """

    durations: Matrix
    requests: tuple[Request, ...]
    vehicles: tuple[Vehicle, ...]
    costs: Matrix | None = None
    layout_change: LayoutChange = LayoutChange.WHEN_EMPTY

    def __post_init__(self) -> None:
        for name in ("durations", "costs"):
            matrix = getattr(self, name)
            if matrix is not None:
                object.__setattr__(self, name, _frozen(name, matrix))
        reasons = validation.faults(self)
        if reasons:
            raise ProblemError(reasons)

    @property
    def arc_costs(self) -> Matrix:
        """Cost from place to place, shape (places, places)."""
        return self.durations if self.costs is None else self.costs

    def request(self, request_id: str) -> Request:
        """The request of this id; `KeyError` if there is none."""
        return {one.id: one for one in self.requests}[request_id]

    def vehicle(self, vehicle_id: str) -> Vehicle:
        """The vehicle of this id; `KeyError` if there is none."""
        return {one.id: one for one in self.vehicles}[vehicle_id]

    def to_json(self) -> str:
        """The problem as text that `from_json` reads back to the same bytes."""
        return wire.problem_to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read `to_json`; raises `ProblemError` with the path of what is wrong, `UnsupportedError` for rules of later versions."""
        return cls(**wire.problem_from_json(text))

    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal: names the problem in records of runs."""
        return wire.digest(self.to_json())


def _frozen(name: str, matrix: npt.ArrayLike) -> Matrix:
    try:
        copy = np.array(matrix, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise ProblemError([f"{name}: {error}"]) from None
    copy.setflags(write=False)
    return copy
