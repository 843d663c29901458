"""Plans: what a tenant, each of its projects and each of its keys may use, under one name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

from ossature.kernel.errors import Conflict, InvalidInput, NotFound
from ossature.kernel.quotas.domain import Period, SubjectKind, parse_windows
from ossature.kernel.service import Rate

Declared = Literal["house", "settings", "database"]


class UnknownPlan(NotFound):
    """No plan has this name; the plans are listed at `/v1/quotas/plans`."""

    title = "No such plan"


class PlanNotKnown(InvalidInput):
    """A tenant can only be put on a plan that exists; the plans are listed at `/v1/quotas/plans`."""

    title = "Plan not known"


class PlanInSettings(Conflict):
    """The plan is declared in the settings of the installation and is changed there."""

    title = "Plan declared in settings"


class PlanInUse(Conflict):
    """Tenants are on this plan; put them on another one first."""

    title = "Plan in use"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` of `unit` in a period of the tenant's zone: for the tenant, for each project or for each key.

    distinct: different things are counted, each once a day, however often it is used.
    """

    subject: SubjectKind
    unit: str
    limit: Decimal
    period: Period
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes by one name. rates: classes of rate limits that differ from the house's. declared: where it stands."""

    name: str
    title: str = ""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    declared: Declared = "database"


FREE = Plan("free", title="No limits beyond the house's own", declared="house")
"""The plan of a tenant of which nothing else was said, unless an installation declares its own of this name."""

_SUBJECTS: Mapping[str, SubjectKind] = {"tenant": "tenant", "project": "project", "key": "key"}
_PERIODS: Mapping[str, Period] = {period: period for period in get_args(Period)}


def parse_plan(name: str, text: str) -> Plan:
    """A plan as it is written in settings: words separated by spaces, each a rate class or a cap.

    `rate.default=600/60,9000/3600` is a class of rate limits (count/seconds); `request=1000/day` a cap of the tenant,
    `key.money=5/month` of each key, `distinct.match=3/day` of different things. Raises: ValueError, naming the word.
    """
    rates: dict[str, Rate] = {}
    caps: list[Cap] = []
    for word in text.split():
        what, _, value = word.partition("=")
        if what.startswith("rate."):
            rate_class = what.removeprefix("rate.")
            rates[rate_class] = Rate(rate_class, parse_windows(value))
        else:
            caps.append(_cap(what, value))
    plan = Plan(name, rates=rates, caps=tuple(caps), declared="settings")
    check_caps(plan.caps)
    return plan


def check_caps(caps: tuple[Cap, ...]) -> None:
    """Raises: ValueError for two caps of one thing, or for distinct things that are not counted by the day."""
    seen = set()
    for cap in caps:
        about = (cap.subject, cap.unit, cap.period, cap.distinct)
        if about in seen:
            msg = f"{cap.subject} {cap.unit} per {cap.period} is capped twice"
            raise ValueError(msg)
        if cap.distinct and cap.period != "day":
            msg = f"distinct things are counted by the day: {cap.unit} per {cap.period}"
            raise ValueError(msg)
        seen.add(about)


def _cap(what: str, value: str) -> Cap:
    *marks, unit = what.split(".")
    limit, _, period = value.partition("/")
    subjects = [_SUBJECTS[mark] for mark in marks if mark in _SUBJECTS]
    try:
        amount = Decimal(limit)
    except InvalidOperation:
        amount = Decimal(-1)
    well_formed = amount.is_finite() and amount >= 0 and period in _PERIODS and unit.isidentifier() and unit.islower()
    if not well_formed or len(subjects) > 1 or set(marks) - {*_SUBJECTS, "distinct"}:
        msg = f"{what[:60]}={value[:40]} is no cap"
        raise ValueError(msg)
    return Cap(subjects[0] if subjects else "tenant", unit, amount, _PERIODS[period], distinct="distinct" in marks)
