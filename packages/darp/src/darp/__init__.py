"""Dial-a-ride planning: who rides with whom, when, in which vehicle, with limits on ride times that always hold."""

from importlib.metadata import version

from darp.checking import Rule, Violation, check
from darp.engine import KERNEL
from darp.errors import DarpError, FormatError, PlanError, PrefixError, ProblemError, UnsupportedError
from darp.explaining import Obstacle, VehicleAnswer, explain
from darp.formats import DynamicInstance, read_cordeau, read_ddarp
from darp.model import Clock, LayoutChange, PinnedStop, Request, Stop, StopKind, Vehicle
from darp.plan import Plan, PlannedStop, Route
from darp.planning import Objective, Offer, Shift, accept, insert, schedule, solve
from darp.problem import Problem

__version__ = version("ossature-darp")
__all__ = [
    "KERNEL",
    "Clock",
    "DarpError",
    "DynamicInstance",
    "FormatError",
    "LayoutChange",
    "Objective",
    "Obstacle",
    "Offer",
    "PinnedStop",
    "Plan",
    "PlanError",
    "PlannedStop",
    "PrefixError",
    "Problem",
    "ProblemError",
    "Request",
    "Route",
    "Rule",
    "Shift",
    "Stop",
    "StopKind",
    "UnsupportedError",
    "Vehicle",
    "VehicleAnswer",
    "Violation",
    "__version__",
    "accept",
    "check",
    "explain",
    "insert",
    "read_cordeau",
    "read_ddarp",
    "schedule",
    "solve",
]
