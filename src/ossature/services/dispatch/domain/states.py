"""The states of a trip: one table says who may do what, when and under which condition. What it does not list is refused.

found = decide(Command.ACCEPT, Party.DISPATCHER, Situation(state=TripState.REQUESTED))
found.target  # TripState.CONFIRMED
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from ossature.kernel.errors import Conflict, PermissionDenied
from ossature.services.dispatch.domain.loads import NOTHING, Load, fits

NO_SHOW_WAIT_S = 600
"""How long a driver waits for somebody, after the later of arrival and promise, before they count as not there."""


class TripState(StrEnum):
    """Where a trip stands."""

    DRAFT = "draft"
    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNPLANNABLE = "unplannable"
    PLANNED = "planned"
    DISPATCHED = "dispatched"
    EN_ROUTE = "en_route"
    AT_PICKUP = "at_pickup"
    ONBOARD = "onboard"
    AT_DROPOFF = "at_dropoff"
    COMPLETED = "completed"
    NO_SHOW = "no_show"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


ENDED: Final = frozenset(
    {TripState.REJECTED, TripState.COMPLETED, TripState.NO_SHOW, TripState.CANCELLED, TripState.INTERRUPTED}
)
"""States that nothing leaves."""


class Command(StrEnum):
    """What can be asked of a trip."""

    SUBMIT = "submit"
    ACCEPT = "accept"
    REJECT = "reject"
    PLAN = "plan"
    ASSIGN = "assign"
    REOPEN = "reopen"
    UNASSIGN = "unassign"
    PUBLISH = "publish"
    RECALL = "recall"
    REASSIGN = "reassign"
    START = "start"
    ARRIVE = "arrive"
    BOARD = "board"
    NO_SHOW = "no_show"
    COMPLETE = "complete"
    CANCEL = "cancel"
    BREAKDOWN = "breakdown"


class Party(StrEnum):
    """In which part somebody, or something, gives a command."""

    REQUESTER = "requester"
    PATIENT = "patient"
    DISPATCHER = "dispatcher"
    DRIVER = "driver"
    POLICY = "policy"
    RUN = "run"
    AUTOMATION = "automation"
    GEOFENCE = "geofence"


class TransitionNotAllowed(Conflict):
    """A trip in this state does not take this command; `allowed` names those that it takes."""

    title = "Transition not allowed"


class ConditionNotMet(Conflict):
    """The command fits the state, but a condition of it does not hold; `condition` and `detail` say which."""

    title = "Condition not met"


class CommandNotYours(PermissionDenied):
    """Somebody else gives this command: `parties` names in which parts."""

    title = "Command not yours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the conditions look at. Only what a command needs must be given.

    onboard: loads of those who ride already in the same duty. layouts: of the vehicle that takes the trip.
    cutoff_at: until when who booked may cancel alone.
    """

    state: TripState
    now: datetime | None = None
    reason: str = ""
    placed: bool = False
    has_window: bool = False
    in_plan: bool = False
    duty_has_driver: bool = False
    other_duty: bool = False
    load: Load = NOTHING
    onboard: tuple[Load, ...] = ()
    layouts: tuple[Load, ...] = ()
    arrived_at: datetime | None = None
    promised_at: datetime | None = None
    no_show_wait_s: int = NO_SHOW_WAIT_S
    cutoff_at: datetime | None = None


Condition = Callable[[Situation, Party], str]
"""Gives what is wrong, or nothing."""


def addresses_placed(seen: Situation, _: Party) -> str:
    """Both ends are on the map."""
    return "" if seen.placed else "An address has no place on the map yet."


def requirement_valid(seen: Situation, _: Party) -> str:
    """Somebody rides."""
    return "" if any(seen.load) else "The trip carries nobody."


def reason_given(seen: Situation, _: Party) -> str:
    """A reason was said."""
    return "" if seen.reason else "Say the reason."


def window_set(seen: Situation, _: Party) -> str:
    """It is known when."""
    return "" if seen.has_window else "The trip has no window of time yet."


def in_checked_plan(seen: Situation, _: Party) -> str:
    """A plan that was checked has it."""
    return "" if seen.in_plan else "No checked plan has this trip."


def driver_known(seen: Situation, _: Party) -> str:
    """Somebody drives the duty."""
    return "" if seen.duty_has_driver else "The duty has no driver."


def another_duty(seen: Situation, _: Party) -> str:
    """It goes to another duty than now."""
    return "" if seen.other_duty else "The trip is in this duty already."


def load_fits(seen: Situation, _: Party) -> str:
    """With everybody who rides already, one layout of the vehicle holds."""
    together = sum(seen.onboard, seen.load)
    return "" if fits(together, seen.layouts) else f"The vehicle cannot be arranged for {together}."


def waited_enough(seen: Situation, _: Party) -> str:
    """The driver was there, and waited."""
    if seen.arrived_at is None or seen.now is None:
        return "The driver has not arrived."
    since = max(seen.arrived_at, seen.promised_at or seen.arrived_at)
    left = since + timedelta(seconds=seen.no_show_wait_s) - seen.now
    return "" if left <= timedelta() else f"Wait another {left.total_seconds():.0f} s."


def before_cutoff(seen: Situation, party: Party) -> str:
    """Who booked cancels in time; a dispatcher may at any time."""
    if party is Party.DISPATCHER or seen.cutoff_at is None or seen.now is None or seen.now <= seen.cutoff_at:
        return ""
    return f"It could be cancelled here until {seen.cutoff_at:%Y-%m-%d %H:%M} UTC; ask the dispatcher."


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    sources: frozenset[TripState]
    command: Command
    target: TripState
    parties: frozenset[Party]
    conditions: tuple[Condition, ...] = ()


def _rule(
    sources: TripState | tuple[TripState, ...],
    command: Command,
    target: TripState,
    *parties: Party,
    conditions: tuple[Condition, ...] = (),
) -> Rule:
    several = (sources,) if isinstance(sources, TripState) else sources
    return Rule(frozenset(several), command, target, frozenset(parties), conditions)


_S, _C, _P = TripState, Command, Party
_IN_PLAN = (window_set, in_checked_plan)

RULES: Final = (
    _rule(
        _S.DRAFT,
        _C.SUBMIT,
        _S.REQUESTED,
        _P.REQUESTER,
        _P.PATIENT,
        _P.DISPATCHER,
        conditions=(addresses_placed, requirement_valid),
    ),
    _rule(_S.REQUESTED, _C.ACCEPT, _S.CONFIRMED, _P.DISPATCHER, _P.POLICY),
    _rule(_S.REQUESTED, _C.REJECT, _S.REJECTED, _P.DISPATCHER, conditions=(reason_given,)),
    _rule((_S.CONFIRMED, _S.UNPLANNABLE), _C.PLAN, _S.PLANNED, _P.RUN, _P.DISPATCHER, conditions=_IN_PLAN),
    _rule((_S.CONFIRMED, _S.UNPLANNABLE), _C.ASSIGN, _S.PLANNED, _P.RUN, _P.DISPATCHER, conditions=_IN_PLAN),
    _rule(_S.CONFIRMED, _C.PLAN, _S.UNPLANNABLE, _P.RUN, conditions=(reason_given,)),
    _rule(_S.UNPLANNABLE, _C.REOPEN, _S.CONFIRMED, _P.RUN, _P.DISPATCHER),
    _rule(_S.PLANNED, _C.UNASSIGN, _S.CONFIRMED, _P.DISPATCHER, _P.RUN),
    _rule(_S.PLANNED, _C.PUBLISH, _S.DISPATCHED, _P.DISPATCHER, _P.AUTOMATION, conditions=(driver_known,)),
    _rule(_S.DISPATCHED, _C.RECALL, _S.PLANNED, _P.DISPATCHER, _P.AUTOMATION),
    _rule(
        (_S.DISPATCHED, _S.EN_ROUTE),
        _C.REASSIGN,
        _S.PLANNED,
        _P.DISPATCHER,
        _P.AUTOMATION,
        conditions=(another_duty,),
    ),
    _rule(_S.DISPATCHED, _C.START, _S.EN_ROUTE, _P.DRIVER, _P.DISPATCHER),
    _rule(_S.EN_ROUTE, _C.ARRIVE, _S.AT_PICKUP, _P.DRIVER, _P.DISPATCHER, _P.GEOFENCE),
    _rule(_S.AT_PICKUP, _C.BOARD, _S.ONBOARD, _P.DRIVER, _P.DISPATCHER, conditions=(load_fits,)),
    _rule(_S.AT_PICKUP, _C.NO_SHOW, _S.NO_SHOW, _P.DRIVER, _P.DISPATCHER, conditions=(waited_enough,)),
    _rule(_S.ONBOARD, _C.ARRIVE, _S.AT_DROPOFF, _P.DRIVER, _P.DISPATCHER, _P.GEOFENCE),
    _rule(_S.AT_DROPOFF, _C.COMPLETE, _S.COMPLETED, _P.DRIVER, _P.DISPATCHER),
    _rule(
        (
            _S.DRAFT,
            _S.REQUESTED,
            _S.CONFIRMED,
            _S.UNPLANNABLE,
            _S.PLANNED,
            _S.DISPATCHED,
            _S.EN_ROUTE,
            _S.AT_PICKUP,
        ),
        _C.CANCEL,
        _S.CANCELLED,
        _P.PATIENT,
        _P.REQUESTER,
        _P.DISPATCHER,
        conditions=(reason_given, before_cutoff),
    ),
    _rule(_S.ONBOARD, _C.BREAKDOWN, _S.INTERRUPTED, _P.DRIVER, _P.DISPATCHER, conditions=(reason_given,)),
)
"""The table. Where a state and a command have two rows, the first whose conditions hold is taken."""


def allowed(state: TripState, party: Party | None = None) -> tuple[Command, ...]:
    """The commands that a state takes, from a party or from anybody, in the order of the table."""
    found = (rule.command for rule in RULES if state in rule.sources and (party is None or party in rule.parties))
    return tuple(dict.fromkeys(found))


def needs_reason(state: TripState, command: Command) -> bool:
    """Whether a command is refused in a state unless a reason is said."""
    rules = (rule for rule in RULES if rule.command is command and state in rule.sources)
    return any(reason_given in rule.conditions for rule in rules)


def decide(command: Command, party: Party, seen: Situation) -> Rule:
    """The row that applies; its `target` is the next state.

    Raises: TransitionNotAllowed, CommandNotYours, ConditionNotMet.
    """
    rules = [rule for rule in RULES if rule.command is command and seen.state in rule.sources]
    if not rules:
        raise TransitionNotAllowed(
            f"A trip that is {seen.state} does not take {command}.",
            state=seen.state.value,
            allowed=[one.value for one in allowed(seen.state)],
        )
    own = [rule for rule in rules if party in rule.parties]
    if not own:
        parties = sorted({one.value for rule in rules for one in rule.parties})
        raise CommandNotYours(f"{command} is not for a {party}.", parties=parties)
    broken: list[tuple[Condition, str]] = []
    for rule in own:
        faults = list(_faults(rule, party, seen))
        if not faults:
            return rule
        broken += faults
    condition, said = broken[0]
    raise ConditionNotMet(said, condition=condition.__name__, state=seen.state.value)


def _faults(rule: Rule, party: Party, seen: Situation) -> Iterator[tuple[Condition, str]]:
    for condition in rule.conditions:
        said = condition(seen, party)
        if said:
            yield condition, said
