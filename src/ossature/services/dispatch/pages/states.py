"""How trips, plans and runs stand, what can be asked of them and what they need, in the words of a reader."""

from collections.abc import Iterable, Mapping

from ossature.kernel.console.parts import Tone, lamp
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.bookings import Requirement, Wheelchair
from ossature.services.dispatch.domain.loads import DIMENSIONS, Load
from ossature.services.dispatch.domain.plans import PlanState, RunState
from ossature.services.dispatch.domain.states import Command, TripState

TRIPS = Words(
    "dispatch.trips",
    {
        "draft": "Draft",
        "requested": "Requested",
        "confirmed": "Confirmed",
        "rejected": "Rejected",
        "unplannable": "Cannot be planned",
        "planned": Message("Planned", context="trip"),
        "dispatched": "Told to the driver",
        "en_route": "Driver on the way",
        "at_pickup": "At the pickup",
        "onboard": "On board",
        "at_dropoff": "At the drop-off",
        "completed": "Completed",
        "no_show": "Nobody was there",
        "cancelled": Message("Cancelled", context="trip"),
        "interrupted": "Interrupted",
    },
)
PLANS = Words(
    "dispatch.plan_states",
    {
        "draft": "Draft",
        "published": "Published",
        "superseded": "Replaced",
        "discarded": "Discarded",
    },
)
RUNS = Words(
    "dispatch.run_states",
    {
        "queued": "Waits",
        "running": "Runs",
        "succeeded": "Done",
        "failed": "Failed",
        "cancelled": "Cancelled",
    },
)
COMMANDS = Words(
    "dispatch.commands",
    {
        "submit": "Submit",
        "accept": "Accept",
        "reject": "Reject",
        "plan": Message("Plan", context="command"),
        "assign": "Assign",
        "reopen": "Put back in line",
        "unassign": "Take out of the plan",
        "publish": "Tell the driver",
        "recall": "Recall",
        "reassign": "Reassign",
        "start": "Driver sets off",
        "arrive": "Driver has arrived",
        "board": "Is on board",
        "no_show": "Nobody is there",
        "complete": "Complete",
        "cancel": "Cancel the trip",
        "breakdown": "Breakdown",
    },
)
REASONS = Words(
    "dispatch.reasons",
    {
        "no-window": "It has no time yet: it waits to be called in.",
        "no-duty": "Nobody is on duty that day.",
        "no-skill": "No duty has the equipment or the training that it needs.",
        "no-room": "No vehicle on duty can be arranged for what it needs.",
        "no-place": "It fits in no duty without breaking a time window or a ride-time limit.",
    },
)
NEEDS = Words(
    "dispatch.needs",
    {
        "oxygen": "oxygen",
        "stair_climber": "stair climber",
        "stretcher_chair": "stretcher chair",
        "bariatric": "bariatric",
        "isolation": "isolation",
        "walker": "walker",
        "medical_escort": "medical escort",
        "rides_alone": "rides alone",
        "nothing": "nobody",
    },
)
LOADS = Words(
    "dispatch.loads",
    {
        "seats": Message("{count} seat", plural="{count} seats"),
        "wheelchairs": Message("{count} wheelchair", plural="{count} wheelchairs"),
        "electric_wheelchairs": Message("{count} electric wheelchair", plural="{count} electric wheelchairs"),
        "stretchers": Message("{count} stretcher", plural="{count} stretchers"),
        "child_seats": Message("{count} child seat", plural="{count} child seats"),
    },
)

TONES: Mapping[TripState, Tone] = {
    TripState.DRAFT: "off",
    TripState.REQUESTED: "warn",
    TripState.CONFIRMED: "info",
    TripState.REJECTED: "off",
    TripState.UNPLANNABLE: "bad",
    TripState.PLANNED: "info",
    TripState.DISPATCHED: "good",
    TripState.EN_ROUTE: "busy",
    TripState.AT_PICKUP: "busy",
    TripState.ONBOARD: "busy",
    TripState.AT_DROPOFF: "busy",
    TripState.COMPLETED: "good",
    TripState.NO_SHOW: "bad",
    TripState.CANCELLED: "off",
    TripState.INTERRUPTED: "bad",
}
_PLAN_TONES: Mapping[PlanState, Tone] = {
    PlanState.DRAFT: "warn",
    PlanState.PUBLISHED: "good",
    PlanState.SUPERSEDED: "off",
    PlanState.DISCARDED: "off",
}
_RUN_TONES: Mapping[RunState, Tone] = {
    RunState.QUEUED: "info",
    RunState.RUNNING: "busy",
    RunState.SUCCEEDED: "good",
    RunState.FAILED: "bad",
    RunState.CANCELLED: "off",
}


def trip_lamp(state: TripState) -> None:
    """How a trip or a booking stands."""
    lamp(TONES[state], TRIPS(state.value))


def plan_lamp(state: PlanState) -> None:
    """How a plan stands."""
    lamp(_PLAN_TONES[state], PLANS(state.value))


def run_lamp(state: RunState) -> None:
    """How a run stands."""
    lamp(_RUN_TONES[state], RUNS(state.value))


def command_said(command: Command) -> str:
    """What is asked of a trip."""
    return COMMANDS(command.value)


def reason_said(reason: str) -> str:
    """Why a trip is as it is: a code of the planner's as a sentence, what a person wrote as it is."""
    return REASONS(reason) if reason in REASONS.english else reason


def load_said(load: Load) -> str:
    """`2 seats, 1 wheelchair`."""
    parts = [LOADS(name, count=n) for name, n in zip(DIMENSIONS, load, strict=True) if n]
    return ", ".join(parts) or NEEDS("nothing")


def needs_said(needs: Iterable[str]) -> str:
    """What a trip asks for, or what a driver or vehicle has, besides room."""
    return ", ".join(sorted(NEEDS(name) for name in needs))


def requirement_said(requirement: Requirement) -> str:
    """All that a trip needs."""
    alone = [NEEDS("rides_alone")] if requirement.rides_alone else []
    besides = [needs_said(requirement.needs)] if requirement.needs else []
    return ", ".join([load_said(requirement.load), *besides, *alone])


def in_chair(requirement: Requirement) -> bool:
    """Whether somebody rides in a wheelchair or lying, which a dispatcher wants to see at once."""
    return requirement.stretcher or requirement.wheelchair is not Wheelchair.NONE
