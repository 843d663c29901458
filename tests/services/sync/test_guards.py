"""Each guard below, at and above its threshold; approvals with the right and a wrong number."""

from typing import Any

import pytest

from ossature.services.sync.domain.config import Guards, Limit
from ossature.services.sync.domain.guards import Baseline, Counts, Guard, check_approval, demanded, guard
from ossature.services.sync.domain.problems import ApprovalMismatch

KNOWN = Baseline(source_rows=100, target_rows=100)
CALM: dict[str, Any] = {"source_rows": 100, "target_rows": 100, "owned": 100, "matched": 100}


def _names(counts: dict[str, int], baseline: Baseline = KNOWN) -> list[str]:
    return [one.name for one in guard("people", Counts(**CALM | counts), baseline, Guards())]


@pytest.mark.parametrize(
    ("counts", "below", "above", "name"),
    [
        ({}, {"source_rows": 90}, {"source_rows": 89}, "source_shrunk"),
        ({}, {"source_rows": 100}, {"source_rows": 0}, "source_empty"),
        ({}, {"target_rows": 50}, {"target_rows": 49}, "target_shrunk"),
        ({}, {"deletes": 10}, {"deletes": 11}, "too_many_deletes"),
        ({"owned": 1000}, {"deletes": 50}, {"deletes": 51}, "too_many_deletes"),
        ({}, {"updates": 50}, {"updates": 51}, "too_many_updates"),
        ({"matched": 19}, {"updates": 19}, {"matched": 20, "updates": 19}, "too_many_updates"),
        ({}, {"creates": 50}, {"creates": 51}, "too_many_creates"),
        ({"target_rows": 1000}, {"creates": 200}, {"creates": 201}, "too_many_creates"),
        ({}, {"duplicate_source_keys": 0}, {"duplicate_source_keys": 1}, "duplicate_source_key"),
        ({}, {"duplicate_target_keys": 0}, {"duplicate_target_keys": 1}, "duplicate_target_key"),
        ({}, {"keyless_rows": 1}, {"keyless_rows": 2}, "unreadable_key"),
        ({}, {"lookup_misses": 5}, {"lookup_misses": 6}, "lookup_misses"),
        ({}, {"invalid_rows": 5}, {"invalid_rows": 6}, "invalid_rows"),
        ({}, {"missing_columns": 0}, {"missing_columns": 1}, "schema_changed"),
    ],
)
def test_a_guard_holds_above_its_threshold_and_not_at_it(
    counts: dict[str, int], below: dict[str, int], above: dict[str, int], name: str
) -> None:
    assert name not in _names(counts | below)
    assert name in _names(counts | above)


def test_a_share_of_updates_says_something_from_the_number_on_that_the_file_names() -> None:
    few = Counts(**CALM | {"matched": 12, "updates": 7})

    def names(minimum: int) -> list[str]:
        limits = Guards(too_many_updates=Limit(min=minimum, ratio=0.5))
        return [one.name for one in guard("people", few, KNOWN, limits)]

    assert (names(12), names(13)) == (["too_many_updates"], [])


def test_the_first_run_creates_nothing_unseen() -> None:
    assert _names({"creates": 1, "target_rows": 0, "matched": 0}, Baseline()) == ["too_many_creates"]


def test_a_protected_record_blocks_only_where_the_file_says_so() -> None:
    counts = Counts(**CALM, protected=1)

    assert guard("people", counts, KNOWN, Guards()) == []
    assert [one.name for one in guard("people", counts, KNOWN, Guards(protected_policy="block"))] == ["protected"]


BLOCKED = [
    Guard("too_many_deletes", "people", "deletes", 37, 10.0),
    Guard("too_many_creates", "teams", "creates", 60, 50.0),
]


def test_an_approval_repeats_every_number_exactly() -> None:
    check_approval(BLOCKED, {"deletes": 37, "creates": 60})

    assert demanded(BLOCKED) == {"deletes": 37, "creates": 60}


@pytest.mark.parametrize(
    "allow", [{}, {"deletes": 37}, {"deletes": 38, "creates": 60}, {"deletes": 37, "creates": 60, "updates": 1}]
)
def test_any_other_number_is_refused(allow: dict[str, int]) -> None:
    with pytest.raises(ApprovalMismatch, match="creates=60, deletes=37"):
        check_approval(BLOCKED, allow)
