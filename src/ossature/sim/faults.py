"""Faults that an operator or a test orders: which upstream misbehaves how, how often, how many times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from random import Random
from typing import Any


class Kind(StrEnum):
    """Every way an upstream can misbehave."""

    TOO_MANY = "429"
    TOO_MANY_BARE = "429_bare"
    ERROR_IN_200 = "200_error"
    BROKEN = "500"
    UNAVAILABLE = "503"
    OVERLOADED = "529"
    SLOW = "slow"
    RESET = "reset"
    HALF_BODY = "half_body"
    BAD_JSON = "bad_json"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    EMPTY = "empty"
    GZIP_BOMB = "gzip_bomb"
    REDIRECT_PRIVATE = "redirect_private"
    TRUNCATED_SSE = "truncated_sse"
    ERROR_MID_STREAM = "error_mid_stream"
    NO_USAGE = "no_usage"
    UTF8_SPLIT = "utf8_split"
    OFF_BY_ONE_LIMIT = "off_by_one_limit"
    CLOCK_SKEW = "clock_skew"
    DUP_IDS = "dup_ids"


SLOW = frozenset({Kind.SLOW})
CLOCK_SKEW = frozenset({Kind.CLOCK_SKEW})
OFF_BY_ONE_LIMIT = frozenset({Kind.OFF_BY_ONE_LIMIT})
# These strike beside others; of all the rest the first that matches a request is the one that strikes it.
BESIDE_OTHERS = SLOW | CLOCK_SKEW | OFF_BY_ONE_LIMIT
STREAMS_ONLY = frozenset({Kind.TRUNCATED_SSE, Kind.ERROR_MID_STREAM})
# These spoil a good answer, so a refusal passes them by and does not use them up.
GOOD_ANSWERS_ONLY = STREAMS_ONLY | {
    Kind.BAD_JSON,
    Kind.WRONG_TYPE,
    Kind.MISSING_FIELD,
    Kind.NO_USAGE,
    Kind.UTF8_SPLIT,
    Kind.DUP_IDS,
}


class FaultError(ValueError):
    """The order is not a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One order.

    provider: its id, or `*`. operation: None = every operation. probability: in 0..1, of each matching request.
    count: how many requests it strikes; None = until the reset. ms: how slow (`slow`, default 2000), how skewed
    (`clock_skew`, default 300000), what Retry-After says (`429`, default 1000). gap_ms: `slow` between the events
    of a stream. field: what `missing_field` and `wrong_type` spoil instead of the route's vital field.
    """

    provider: str
    fault: Kind
    operation: str | None = None
    probability: float = 1.0
    count: int | None = None
    ms: int | None = None
    gap_ms: int = 0
    field: str | None = None

    @classmethod
    def parse(cls, order: object, *, providers: Iterable[str]) -> "Fault":
        """Return the fault that the JSON object orders. Raises: FaultError, naming what is wrong."""
        if not isinstance(order, Mapping):
            raise FaultError("A fault is an object with at least 'provider' and 'fault'.")
        _check_names(order)
        known = ("*", *providers)
        if order.get("provider") not in known:
            raise FaultError(f"'provider' must be one of {', '.join(known)}.")
        if order.get("fault") not in tuple(Kind):
            raise FaultError(f"'fault' must be one of {', '.join(Kind)}.")
        _check_figures(order)
        return cls(**{**order, "fault": Kind(order["fault"])})


def _check_names(order: Mapping[str, Any]) -> None:
    allowed = [field.name for field in fields(Fault)]
    unknown = [str(name) for name in order if name not in allowed]
    if unknown:
        raise FaultError(f"Unknown: {', '.join(unknown)}. A fault has {', '.join(allowed)}.")
    for name in ("operation", "field"):
        if not isinstance(order.get(name), str | None):
            raise FaultError(f"'{name}' must be a text.")


def _check_figures(order: Mapping[str, Any]) -> None:
    probability = order.get("probability", 1.0)
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise FaultError("'probability' must be a number in 0..1.")
    for name in ("count", "ms", "gap_ms"):
        value = order.get(name, 0)
        # A skewed clock may be late as well as early.
        late = name == "ms" and order["fault"] == Kind.CLOCK_SKEW
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or (value < 0 and not late)):
            raise FaultError(f"'{name}' must be a whole number, not negative.")
    if order.get("gap_ms", 0) is None:
        raise FaultError("'gap_ms' must be a whole number.")


class FaultBook:
    """The faults in force, and the dice that decide when they strike; the same seed strikes the same requests."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._orders: list[list[Any]] = []  # pairs [Fault, strikes left or None]
        self._dice = Random()  # noqa: S311 - reproducible mischief, not a secret
        self.replace(())

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put these faults in force instead of all others and take fresh dice."""
        self._dice.seed(f"faults:{self._seed}")
        self._orders = [[fault, fault.count] for fault in faults]

    def add(self, faults: Iterable[Fault]) -> None:
        """Put these faults in force beside the others."""
        self._orders.extend([fault, fault.count] for fault in faults)

    def __bool__(self) -> bool:
        """Whether any fault is in force."""
        return bool(self._orders)

    def listed(self) -> list[tuple[Fault, int | None]]:
        """Return the faults in force, each with the strikes it has left (None = for ever)."""
        return [(fault, left) for fault, left in self._orders]

    def strike(self, provider_id: str, operation: str, *, kinds: frozenset[Kind]) -> Fault | None:
        """Return the first matching fault of these kinds that strikes now; its count goes down."""
        for order in self._orders:
            fault, left = order
            if fault.fault not in kinds or fault.provider not in {"*", provider_id}:
                continue
            if fault.operation not in {None, operation} or self._dice.random() >= fault.probability:
                continue
            if left is not None:
                order[1] = left - 1
                self._orders = [each for each in self._orders if each[1] != 0]
            return fault  # type: ignore[no-any-return]  # the pair is [Fault, int | None]
        return None
