"""Flags on the wire."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictFloat, StrictInt, StrictStr

from ossature.kernel.http.input import Input
from ossature.kernel.tenants.flags.domain import By, Flag, Kind, Results, Rule

_NAME = r"^[a-z][a-z0-9_]*([.-][a-z0-9_]+)*$"

FlagPath = Annotated[str, Path(pattern=_NAME, max_length=80, examples=["board.new"])]
FlagName = Annotated[str, Field(pattern=_NAME, max_length=80, examples=["board.new"])]
Goal = Annotated[str, Field(pattern=_NAME, max_length=80, examples=["booking.made"])]
Variant = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", examples=["on"])]
Text = Annotated[StrictStr, Field(max_length=2000)]
Number = Annotated[StrictFloat, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Whole = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]
Answer = StrictBool | Whole | Number | Text | Annotated[dict[str, JsonValue], Field(max_length=50)]
Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Shares = Annotated[dict[Variant, Share], Field(min_length=1, max_length=20, examples=[{"on": 10, "off": 90}])]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class RuleIn(Input):
    """An answer for some. All conditions that are given must hold. users: ids of users or keys; tenants: their slugs."""

    shares: Shares
    tenants: list[Name] = Field(default=[], max_length=500)
    plans: list[Name] = Field(default=[], max_length=500)
    users: list[Name] = Field(default=[], max_length=500)
    roles: list[Name] = Field(default=[], max_length=500)


class FlagPut(Input):
    """What a flag is to be, as a whole. Without a rule that holds, `shares` answer. goal: makes it an experiment."""

    title: str = Field(default="", max_length=200, examples=["The new board"])
    variants: dict[Variant, Answer] = Field(
        default={"on": True, "off": False}, min_length=1, max_length=20, examples=[{"on": True, "off": False}]
    )
    off: Variant = "off"
    shares: Shares
    rules: list[RuleIn] = Field(default=[], max_length=50)
    by: By = "user"
    goal: Goal | None = None

    def flag(self, name: str) -> Flag:
        """The flag that is asked for."""
        rules = tuple(
            Rule(
                shares=rule.shares,
                tenants=frozenset(rule.tenants),
                plans=frozenset(rule.plans),
                users=frozenset(rule.users),
                roles=frozenset(rule.roles),
            )
            for rule in self.rules
        )
        values = {part: getattr(self, part) for part in ("title", "variants", "off", "shares", "by", "goal")}
        return Flag(name=name, rules=rules, **values)


class FlagIn(FlagPut):
    """A flag to be made."""

    name: FlagName


class KillIn(Input):
    """Why a flag is killed."""

    why: str = Field(min_length=1, max_length=500, examples=["the board shows nothing in the north"])


class OutcomeIn(Input):
    """A goal that the caller has reached. amount: what that brought."""

    goal: Goal
    amount: float = Field(default=1.0, ge=-1e12, le=1e12, allow_inf_nan=False)


class RuleOut(BaseModel):
    """An answer for some."""

    shares: dict[str, float]
    tenants: list[str]
    plans: list[str]
    users: list[str]
    roles: list[str]


class FlagOut(BaseModel):
    """A flag. declared: it stands in the file of flags. round: of the experiment; each change of its answers begins one."""

    name: str
    title: str
    kind: Kind
    variants: dict[str, JsonValue]
    off: str
    shares: dict[str, float]
    rules: list[RuleOut]
    by: By
    goal: str | None
    round: int
    declared: bool
    killed_at: datetime | None
    killed_why: str | None
    created_at: datetime | None
    updated_at: datetime | None


class FlagsOut(BaseModel):
    """Every flag of the house, by name."""

    items: list[FlagOut]


class ValueOut(BaseModel):
    """What a flag says to the caller. reason: in the words of OpenFeature."""

    name: str
    value: JsonValue
    variant: str | None
    reason: str
    of_house: bool


class ValuesOut(BaseModel):
    """What every flag says to the caller, by name."""

    items: list[ValueOut]


class IntervalOut(BaseModel):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class ArmOut(BaseModel):
    """What became of those who got a variant. rate: of those who reached the goal. lift: rate less that of `off`."""

    model_config = ConfigDict(from_attributes=True)

    variant: str
    shown: int
    reached: int
    total: float
    rate: IntervalOut
    lift: IntervalOut | None


class ResultsOut(BaseModel):
    """What an experiment has shown in its present round."""

    name: str
    goal: str
    round: int
    arms: list[ArmOut]


def flag_out(flag: Flag) -> FlagOut:
    """A flag as it is sent."""
    rules = [
        RuleOut(
            shares=dict(rule.shares),
            tenants=sorted(rule.tenants),
            plans=sorted(rule.plans),
            users=sorted(rule.users),
            roles=sorted(rule.roles),
        )
        for rule in flag.rules
    ]
    parts = (
        "name", "title", "kind", "variants", "off", "shares", "by", "goal", "round", "declared", "killed_at",
        "killed_why", "created_at", "updated_at",
    )  # fmt: skip
    return FlagOut(rules=rules, **{part: getattr(flag, part) for part in parts})


def results_out(results: Results) -> ResultsOut:
    """Results as they are sent."""
    arms = [
        ArmOut(
            variant=arm.variant,
            shown=arm.shown,
            reached=arm.reached,
            total=arm.total,
            rate=IntervalOut(value=arm.rate, low=arm.low, high=arm.high),
            lift=None if arm.lift is None else IntervalOut(value=arm.lift[0], low=arm.lift[1], high=arm.lift[2]),
        )
        for arm in results.arms
    ]
    flag = results.flag
    return ResultsOut(name=flag.name, goal=flag.goal or "", round=flag.round, arms=arms)
