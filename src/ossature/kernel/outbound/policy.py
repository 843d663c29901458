"""Which provider is asked first: what the caller may say, and the arithmetic of the order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.outbound.breaker import BreakerKey
from ossature.kernel.outbound.credentials import Credential
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.provider import Account, Codec, ErrorKind, Provider

PolicyName = Literal["free_first", "fast", "cheap", "quality", "pinned"]

WEIGHTS: Mapping[str, tuple[float, float, float]] = {
    "free_first": (0.4, 0.2, 0.4),
    "fast": (0.2, 0.8, 0.0),
    "cheap": (1.0, 0.0, 0.0),
    "quality": (1.0, 0.0, 0.0),
    "pinned": (1.0, 0.0, 0.0),
}
"""Weights of health, latency and scarcity."""


CacheUse = Literal["auto", "only", "refresh", "off"]


class OptionsRefused(InvalidInput):
    """What was said about providers contradicts itself or is not known; `errors` says where."""

    title = "Options refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller may say about one question.

    policy: how candidates are ordered. order: these first, in this order. only, ignore: narrow the candidates.
    max_cost_microusd: per attempt. data_collection: `deny` leaves out providers that may learn from what they get.
    commercial: leaves out those whose terms forbid that use, or say nothing. hedge: a second provider is raced when
    the first is slow. cache: `only` what is kept, `refresh` it, or turn it `off`. max_stale_s: how old a stand-in may be at most. raw: add the upstream's
    body. time_limit_s: for all attempts together. models: for prices.
    """

    policy: PolicyName = "free_first"
    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_cost_microusd: int | None = None
    allow_fallbacks: bool = True
    data_collection: Literal["allow", "deny"] = "allow"
    commercial: bool = False
    hedge: bool = False
    cache: CacheUse = "auto"
    max_stale_s: float | None = None
    raw: bool = False
    time_limit_s: float | None = None
    model: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any], *, known: Sequence[str], default_policy: PolicyName) -> Self:
        """Options from keyword arguments, checked. Raises: OptionsRefused, naming every fault."""
        if not said:
            return cls(policy=default_policy)
        names = {each.name for each in fields(cls)}
        errors = [FieldError(f"/{name}", "is not an option", "unknown") for name in said if name not in names]
        values = {name: value for name, value in said.items() if name in names}
        for name in ("order", "only", "ignore"):
            values[name] = tuple(values.get(name) or ())
            errors += [
                FieldError(f"/{name}", f"{each!r} is no provider of this operation", "unknown_provider")
                for each in values[name]
                if each not in known
            ]
        both = set(values["only"]) & set(values["ignore"])
        if both:
            errors.append(FieldError("/ignore", f"{', '.join(sorted(both))} is also in only", "conflict"))
        policy = values.setdefault("policy", default_policy)
        if policy not in get_args(PolicyName):
            errors.append(FieldError("/policy", f"{policy!r} is no policy", "unknown"))
        if values.get("cache", "auto") not in get_args(CacheUse):
            errors.append(FieldError("/cache", f"{values['cache']!r} is no use of the cache", "unknown"))
        if policy == "pinned" and not values["order"]:
            errors.append(FieldError("/order", "is needed by the policy pinned", "missing"))
        if errors:
            raise OptionsRefused(errors=errors)
        return cls(**values)

    @property
    def narrows(self) -> str:
        """What of this changes which answer may be given, for the key of the cache."""
        said = (self.only, self.ignore, self.order if self.policy == "pinned" else (), self.model)
        return repr((*said, self.data_collection, self.commercial)) if any(said) or self.commercial else ""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A provider with a credential that could answer, or the reason why not.

    units, cost_microusd: expected of the first call. kind: what the reason amounts to, for the caller.
    """

    provider: Provider
    credential: Credential
    codec: Codec[Any, Any]
    account: Account
    breaker: BreakerKey
    windows: Sequence[WindowSpec] = ()
    cost_microusd: int = 0
    success: float = 1.0
    ewma_ms: float | None = None
    plenty: float = 1.0
    refused: str = ""
    kind: ErrorKind | None = None
    retry_after_s: float | None = None
    missing: tuple[str, ...] = ()
    score: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)


def ranked(candidates: Sequence[Candidate], options: Options) -> list[Candidate]:
    """The candidates that were not refused, best first, each with its score and the parts of it."""
    eligible = [each for each in candidates if not each.refused]
    known_ms = [each.ewma_ms for each in eligible if each.ewma_ms]
    best_ms = min(known_ms, default=None)
    health_weight, latency_weight, scarcity_weight = WEIGHTS[options.policy]
    for each in eligible:
        # Who was never asked is taken to be as fast as the best, so that it is asked once.
        speed = best_ms / each.ewma_ms if best_ms is not None and each.ewma_ms else 1.0
        each.parts = {"health": each.success, "latency": speed, "scarcity": each.plenty}
        each.score = health_weight * each.success + latency_weight * speed + scarcity_weight * each.plenty
        each.parts |= {"cost_microusd": float(each.cost_microusd), "rank": float(each.provider.manifest.rank)}
    place = {name: number for number, name in enumerate(options.order)}
    eligible.sort(key=lambda each: (place.get(each.provider.id, len(place)), *_precedence(each, options.policy)))
    if options.policy == "pinned":
        return [each for each in eligible if each.provider.id == options.order[0]][:1]
    return eligible if options.allow_fallbacks else eligible[:1]


def _precedence(each: Candidate, policy: PolicyName) -> tuple[float, float, float, str]:
    """What decides between two candidates, smaller first; quality and then the name where all else is equal."""
    rank = -float(each.provider.manifest.rank)
    match policy:
        case "free_first":
            first = float(each.cost_microusd > 0 or not each.provider.manifest.is_free)
        case "cheap":
            first = float(each.cost_microusd)
        case "quality":
            first = rank
        case _:
            first = 0.0
    return first, -round(each.score, 3), rank, each.provider.id
