"""Flags: what they answer, whom they answer differently, and what an experiment has shown; values, rules, refusals."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from ossature.kernel.errors import Conflict, FieldError, InvalidInput, NotFound

Value = bool | int | float | str | Mapping[str, Any]
By = Literal["user", "tenant"]
Kind = Literal["boolean", "string", "number", "object"]
Reason = Literal["killed", "rule", "share", "same"]

FLAGS_MOST: Final = 500
"""So many flags a tenant, or the house, may have: all of them lie in the memory of every process."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(?:[.-][a-z0-9_]+)*")
_NAME_MOST = 80
_VARIANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_WHOLE = 100.0
_CLOSE = 1e-6
_HASH_RANGE = float(2**64)


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom a flag is looked at. subject: who asks: a user, a key, or the tenant where it is nobody in person."""

    subject: str
    tenant_id: UUID | None
    tenant: str = ""
    plan: str = ""
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """An answer for some. All conditions that are given must hold; shares: variant -> per cent, 100 together."""

    shares: Mapping[str, float]
    tenants: frozenset[str] = frozenset()
    plans: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def holds(self, asker: Asker) -> bool:
        """Whether it is about this one."""
        return (
            (not self.tenants or asker.tenant in self.tenants)
            and (not self.plans or asker.plan in self.plans)
            and (not self.users or asker.subject in self.users)
            and (not self.roles or not self.roles.isdisjoint(asker.roles))
        )


@dataclass(frozen=True, slots=True)
class Flag:
    """A switch. variants: what it can answer, all of one kind; off: which of them while it is killed.

    The first rule that holds answers; without one `shares` do. by: whose answer stays the same. goal: an experiment
    counts who reached it, among those whom chance, not a rule of one variant, gave theirs. round: of the experiment,
    a new one with each change of who gets what. declared: in a file, which wins over the database.
    """

    name: str
    variants: Mapping[str, Value]
    off: str
    shares: Mapping[str, float]
    title: str = ""
    rules: tuple[Rule, ...] = ()
    by: By = "user"
    goal: str | None = None
    round: int = 1
    declared: bool = False
    killed_at: datetime | None = None
    killed_why: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def kind(self) -> Kind:
        """Of what its answers are."""
        return kind_of(next(iter(self.variants.values())))

    def key_of(self, asker: Asker) -> str:
        """Whose answer stays the same."""
        return str(asker.tenant_id) if self.by == "tenant" and asker.tenant_id is not None else asker.subject


@dataclass(frozen=True, slots=True)
class Decision:
    """What a flag answered to somebody, and why: chance (`share`), a rule, the same for all, or it is killed."""

    variant: str
    value: Value
    reason: Reason


@dataclass(frozen=True, slots=True)
class Exposure:
    """Somebody was shown a variant of an experiment. owner_id: of the flag: the house or the tenant itself."""

    tenant_id: UUID
    owner_id: UUID
    flag: str
    round: int
    subject: str
    variant: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Arm:
    """What became of those who got one variant. rate: of those who reached the goal, with its 95 % interval.

    total: sum of what they brought. lift: rate less that of the variant `off`, with its 95 % interval; None for `off`.
    """

    variant: str
    shown: int
    reached: int
    total: float
    rate: float
    low: float
    high: float
    lift: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Results:
    """What an experiment has shown in its present round."""

    flag: Flag
    arms: tuple[Arm, ...] = field(default_factory=tuple)


class UnknownFlag(NotFound):
    """No flag has this name, or it is not yours."""

    title = "No such flag"


class FlagTaken(Conflict):
    """There is a flag of this name: the tenant's own, or one of the house, which holds for everybody."""

    title = "Flag taken"


class FlagInFile(Conflict):
    """The flag stands in the file of flags, which wins over the database: change it there. It can be killed all the same."""

    title = "Flag in a file"


class TooManyFlags(Conflict):
    """There are as many flags as there may be; delete those that nobody looks at any more."""

    title = "Too many flags"


class NoExperiment(Conflict):
    """The flag has no goal, so nobody counts who reaches it."""

    title = "No experiment"


def kind_of(value: Value) -> Kind:
    """Of which kind a value is."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, int | float) else "object"


def decide(flag: Flag, asker: Asker) -> Decision:
    """What a flag answers to somebody: always the same while flag and asker are the same."""
    if flag.killed_at is not None:
        return _decision(flag, flag.off, "killed")
    for rule in flag.rules:
        if rule.holds(asker):
            alone = _alone(rule.shares)
            return _decision(flag, alone or _drawn(flag, rule.shares, asker), "rule" if alone else "share")
    alone = _alone(flag.shares)
    return _decision(flag, alone or _drawn(flag, flag.shares, asker), "same" if alone else "share")


def _decision(flag: Flag, variant: str, reason: Reason) -> Decision:
    return Decision(variant, flag.variants[variant], reason)


def _alone(shares: Mapping[str, float]) -> str | None:
    """The variant that everybody gets, if one does."""
    given = [variant for variant, share in shares.items() if share > 0]
    return given[0] if len(given) == 1 else None


def _drawn(flag: Flag, shares: Mapping[str, float], asker: Asker) -> str:
    """The variant that falls to somebody. It depends on nothing but names, so it is the same in every process.

    When a share grows, people move to that variant only, and of the others nobody changes places as long as their
    shares keep their proportions. Source: Thaler and Ravishankar, IEEE/ACM ToN 6 (1998); weights by -w/ln(u).
    """
    key = flag.key_of(asker)
    return max(
        (variant for variant, share in shares.items() if share > 0),
        key=lambda variant: (-shares[variant] / math.log(_chance(flag.name, variant, key)), variant),
    )


def _chance(*names: str) -> float:
    """A number above 0 and below 1 that names fix."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
    return min((int.from_bytes(digest, "big") + 0.5) / _HASH_RANGE, 1 - 1e-15)


def check(flag: Flag, *, of_house: bool) -> Flag:
    """The flag, if it makes sense. Raises: InvalidInput, naming all that does not."""
    faults = [*_faults(flag, of_house=of_house)]
    if faults:
        raise InvalidInput(errors=faults)
    return flag


def _faults(flag: Flag, *, of_house: bool) -> Iterable[FieldError]:
    if not _NAME.fullmatch(flag.name) or len(flag.name) > _NAME_MOST:
        yield FieldError("/name", f"Write up to {_NAME_MOST} lower-case letters, digits, _ and inner . or -.", "flag")
    if not flag.variants:
        yield FieldError("/variants", "A flag has one variant or more.", "flag")
        return
    if any(not _VARIANT.fullmatch(name) for name in flag.variants):
        yield FieldError("/variants", "Variants are named with up to 40 lower-case letters, digits, - and _.", "flag")
    if len({kind_of(value) for value in flag.variants.values()}) > 1:
        yield FieldError("/variants", "All variants are of one kind: booleans, texts, numbers or objects.", "flag")
    if any(isinstance(value, float) and not math.isfinite(value) for value in flag.variants.values()):
        yield FieldError("/variants", "A number has an end.", "flag")
    if flag.off not in flag.variants:
        yield FieldError("/off", "It is one of the variants.", "flag")
    yield from _share_faults("/shares", flag.shares, flag.variants)
    for place, rule in enumerate(flag.rules):
        yield from _share_faults(f"/rules/{place}/shares", rule.shares, flag.variants)
        if not of_house and (rule.tenants or rule.plans):
            yield FieldError(
                f"/rules/{place}", "A flag of one tenant has rules about its users and roles only.", "flag"
            )


def _share_faults(pointer: str, shares: Mapping[str, float], variants: Mapping[str, Value]) -> Iterable[FieldError]:
    if unknown := sorted(set(shares) - set(variants)):
        yield FieldError(pointer, f"There is no variant {unknown[0][:40]!r}.", "flag")
    if any(not 0 <= share <= _WHOLE for share in shares.values()) or abs(sum(shares.values()) - _WHOLE) > _CLOSE:
        yield FieldError(pointer, "Shares are per cent, from 0 to 100, and make 100 together.", "flag")


def next_round(before: Flag, after: Flag) -> int:
    """The round of an experiment once it is changed: who was counted under other shares is not counted on."""
    same = (before.variants, before.shares, before.rules, before.by, before.goal, before.off) == (
        after.variants, after.shares, after.rules, after.by, after.goal, after.off,
    )  # fmt: skip
    return before.round if same else before.round + 1


def results(flag: Flag, counts: Mapping[str, tuple[int, int, float]]) -> Results:
    """What was counted, by variant (shown, reached, total), as rates and differences with their intervals."""
    control = counts.get(flag.off, (0, 0, 0.0))
    arms = (_arm(variant, counts.get(variant, (0, 0, 0.0)), flag.off, control) for variant in flag.variants)
    return Results(flag, tuple(arms))


def _arm(variant: str, counted: tuple[int, int, float], off: str, control: tuple[int, int, float]) -> Arm:
    shown, reached, total = counted
    low, high = interval(reached, shown)
    rate = reached / shown if shown else 0.0
    lift = None
    if variant != off and shown and control[0]:
        lift = difference((reached, shown), (control[1], control[0]))
    return Arm(variant, shown, reached, total, rate, low, high, lift)


def interval(reached: int, shown: int) -> tuple[float, float]:
    """The 95 % interval of a rate. Source: E. B. Wilson, JASA 22 (1927)."""
    if not shown:
        return 0.0, 1.0
    z = 1.959963984540054
    rate, square = reached / shown, z * z
    middle = (rate + square / (2 * shown)) / (1 + square / shown)
    half = z / (1 + square / shown) * math.sqrt(rate * (1 - rate) / shown + square / (4 * shown * shown))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float, float]:
    """One rate less another, each (reached, shown), with the 95 % interval. Source: R. G. Newcombe, method 10 (1998)."""
    p1, p2 = one[0] / one[1], other[0] / other[1]
    (l1, u1), (l2, u2) = interval(*one), interval(*other)
    low = p1 - p2 - math.hypot(p1 - l1, u2 - p2)
    high = p1 - p2 + math.hypot(u1 - p1, p2 - l2)
    return p1 - p2, low, high
