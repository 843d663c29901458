"""Every row of the three-way table, under each policy that it knows."""

from typing import Any

import pytest

from ossature.services.sync.domain.config import Policies
from ossature.services.sync.domain.decision import Case, State, content_hash, decide, equal, removal
from ossature.services.sync.domain.difference import Difference, Layout

LAYOUT = Layout(["mail", "name"], ["mail"], {})
WAS, SHOULD, OTHER = ("a@x", "Ada"), ("a@x", "Bea"), ("a@x", "Cis")
NEW = Difference("new", "a@x", SHOULD, None)
CHANGED = Difference("changed", "a@x", SHOULD, WAS, ("name",))


def _state(*, applied: tuple[str, str], seen: tuple[str, str]) -> State:
    return State("created", content_hash(LAYOUT, applied), content_hash(LAYOUT, seen))


DRIFTED = _state(applied=SHOULD, seen=SHOULD)
SOURCE_CHANGED = _state(applied=WAS, seen=WAS)
BOTH_CHANGED = _state(applied=OTHER, seen=OTHER)


@pytest.mark.parametrize(
    ("found", "state", "policies", "case", "op"),
    [
        (NEW, None, {}, Case.NEW, "create"),
        (NEW, DRIFTED, {}, Case.VANISHED, "create"),
        (NEW, DRIFTED, {"on_vanished": "report"}, Case.VANISHED, None),
        (CHANGED, None, {}, Case.FIRST_MATCH, "update"),
        (CHANGED, None, {"on_first_match": "report"}, Case.FIRST_MATCH, None),
        (CHANGED, DRIFTED, {}, Case.DRIFT, "update"),
        (CHANGED, DRIFTED, {"on_drift": "report"}, Case.DRIFT, None),
        (CHANGED, DRIFTED, {"on_drift": "adopt"}, Case.DRIFT, "adopt"),
        (CHANGED, SOURCE_CHANGED, {}, Case.SOURCE_CHANGED, "update"),
        (CHANGED, BOTH_CHANGED, {}, Case.CONFLICT, "update"),
        (CHANGED, BOTH_CHANGED, {"on_conflict": "report"}, Case.CONFLICT, None),
    ],
)
def test_a_difference_is_one_case_and_its_policy_decides(
    found: Difference, state: State | None, policies: dict[str, Any], case: Case, op: str | None
) -> None:
    decision = decide(found, state, layout=LAYOUT, policies=Policies(**policies))

    assert (decision.case, decision.op) == (case, op)


def test_an_equal_record_is_adopted_once() -> None:
    assert equal(None).op == "adopt"
    assert equal(DRIFTED).op is None


@pytest.mark.parametrize(
    ("reads", "days", "policy", "op"),
    [
        (0, 0, "delete", None),
        (1, 0, "delete", "delete"),
        (1, 0, "deactivate", "deactivate"),
        (1, 0, "never", None),
    ],
)
def test_a_record_goes_only_after_its_grace(reads: int, days: int, policy: Any, op: str | None) -> None:
    state = State("created", "a", "t", missing_reads=reads, missing_days=days)

    assert removal(state, policy=policy, grace_reads=2, grace_days=0).op == op


def test_days_of_grace_count_too() -> None:
    waited = [
        removal(State("adopted", "a", "t", 9, days), policy="delete", grace_reads=2, grace_days=3).op for days in (2, 3)
    ]

    assert waited == [None, "delete"]


def test_a_record_of_somebody_else_is_never_removed() -> None:
    decision = removal(None, policy="delete", grace_reads=1, grace_days=0)

    assert (decision.case, decision.op) == (Case.FOREIGN, None)
