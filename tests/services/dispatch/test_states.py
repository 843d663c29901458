"""The table of a trip's states: every transition that is allowed, and every one that is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.states import (
    ENDED,
    Command,
    CommandNotYours,
    ConditionNotMet,
    Party,
    Situation,
    TransitionNotAllowed,
    TripState,
    allowed,
    decide,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
READY = Situation(
    state=TripState.DRAFT,
    now=NOW,
    reason="asked for",
    placed=True,
    has_window=True,
    in_plan=True,
    duty_has_driver=True,
    other_duty=True,
    load=Load(1),
    layouts=(Load(4),),
    arrived_at=NOW - timedelta(minutes=11),
)
# Written by hand from the specification of the service, not from the code: state, command, next state, who.
EVERYBODY_WHO_BOOKS = {"requester", "patient", "dispatcher"}
DRIVES = {"driver", "dispatcher"}
MOVES = {"driver", "dispatcher", "geofence"}
PLANS = {"run", "dispatcher"}
SENDS = {"dispatcher", "automation"}
TABLE = {
    ("draft", "submit"): ("requested", EVERYBODY_WHO_BOOKS),
    ("requested", "accept"): ("confirmed", {"dispatcher", "policy"}),
    ("requested", "reject"): ("rejected", {"dispatcher"}),
    ("confirmed", "plan"): ("planned", PLANS),
    ("unplannable", "plan"): ("planned", PLANS),
    ("confirmed", "assign"): ("planned", PLANS),
    ("unplannable", "assign"): ("planned", PLANS),
    ("unplannable", "reopen"): ("confirmed", PLANS),
    ("planned", "unassign"): ("confirmed", PLANS),
    ("planned", "publish"): ("dispatched", SENDS),
    ("dispatched", "recall"): ("planned", SENDS),
    ("dispatched", "reassign"): ("planned", SENDS),
    ("en_route", "reassign"): ("planned", SENDS),
    ("dispatched", "start"): ("en_route", DRIVES),
    ("en_route", "arrive"): ("at_pickup", MOVES),
    ("at_pickup", "board"): ("onboard", DRIVES),
    ("at_pickup", "no_show"): ("no_show", DRIVES),
    ("onboard", "arrive"): ("at_dropoff", MOVES),
    ("at_dropoff", "complete"): ("completed", DRIVES),
    ("onboard", "breakdown"): ("interrupted", DRIVES),
    **{
        (state, "cancel"): ("cancelled", EVERYBODY_WHO_BOOKS)
        for state in (
            "draft", "requested", "confirmed", "unplannable", "planned", "dispatched", "en_route", "at_pickup",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("party", Party)
@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("state", TripState)
def test_every_state_answers_every_command_of_everybody_as_the_table_says(
    state: TripState, command: Command, party: Party
) -> None:
    row = TABLE.get((state.value, command.value))
    seen = replace(READY, state=state)

    if row is None:
        with pytest.raises(TransitionNotAllowed) as refused:
            decide(command, party, seen)
        assert refused.value.facts["allowed"] == [one.value for one in allowed(state)]
    elif party.value not in row[1]:
        with pytest.raises(CommandNotYours):
            decide(command, party, seen)
    else:
        assert decide(command, party, seen).target.value == row[0]


def test_a_run_that_finds_no_place_says_why_and_the_trip_is_unplannable() -> None:
    seen = replace(READY, state=TripState.CONFIRMED, in_plan=False, reason="no-room")

    assert decide(Command.PLAN, Party.RUN, seen).target is TripState.UNPLANNABLE


@pytest.mark.parametrize(
    ("state", "command", "party", "lacking", "condition"),
    [
        ("draft", "submit", "patient", {"placed": False}, "addresses_placed"),
        ("draft", "submit", "patient", {"load": Load()}, "requirement_valid"),
        ("requested", "reject", "dispatcher", {"reason": ""}, "reason_given"),
        ("confirmed", "assign", "dispatcher", {"has_window": False}, "window_set"),
        ("confirmed", "assign", "dispatcher", {"in_plan": False}, "in_checked_plan"),
        ("planned", "publish", "dispatcher", {"duty_has_driver": False}, "driver_known"),
        ("dispatched", "reassign", "dispatcher", {"other_duty": False}, "another_duty"),
        ("at_pickup", "board", "driver", {"onboard": (Load(4),)}, "load_fits"),
        ("at_pickup", "no_show", "driver", {"arrived_at": NOW - timedelta(minutes=9)}, "waited_enough"),
        ("at_pickup", "no_show", "driver", {"promised_at": NOW - timedelta(minutes=9)}, "waited_enough"),
        ("at_pickup", "no_show", "driver", {"arrived_at": None}, "waited_enough"),
        ("confirmed", "cancel", "patient", {"reason": ""}, "reason_given"),
        ("confirmed", "cancel", "patient", {"cutoff_at": NOW - timedelta(seconds=1)}, "before_cutoff"),
        ("onboard", "breakdown", "driver", {"reason": ""}, "reason_given"),
    ],
)
def test_a_command_waits_for_its_condition(
    state: str, command: str, party: str, lacking: dict[str, object], condition: str
) -> None:
    seen = replace(READY, state=TripState(state), **lacking)

    with pytest.raises(ConditionNotMet) as refused:
        decide(Command(command), Party(party), seen)

    assert refused.value.facts["condition"] == condition


def test_a_dispatcher_cancels_after_the_cutoff() -> None:
    seen = replace(READY, state=TripState.CONFIRMED, cutoff_at=NOW - timedelta(hours=1))

    assert decide(Command.CANCEL, Party.DISPATCHER, seen).target is TripState.CANCELLED


@given(st.lists(st.tuples(st.sampled_from(Command), st.sampled_from(Party)), max_size=30))
def test_no_sequence_of_commands_leaves_an_end(steps: list[tuple[Command, Party]]) -> None:
    state = TripState.DRAFT
    for command, party in steps:
        try:
            target = decide(command, party, replace(READY, state=state)).target
        except (TransitionNotAllowed, CommandNotYours, ConditionNotMet):
            continue
        assert state not in ENDED
        assert (state.value, command.value) in TABLE
        state = target


def test_nothing_is_allowed_at_an_end() -> None:
    assert {state for state in TripState if not allowed(state)} == ENDED
