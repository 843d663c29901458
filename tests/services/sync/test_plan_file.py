"""A plan is its bytes: the same inputs give the same, one other byte is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossature.services.sync.domain.guards import Guard
from ossature.services.sync.domain.order import depths, rank
from ossature.services.sync.domain.plan import FieldChange, numbered, read_plan, sha256_of, write_plan
from ossature.services.sync.domain.problems import PlanTampered
from tests.services.sync.builders import a_plan, an_operation

PLAN = a_plan(
    an_operation(1),
    an_operation(
        2,
        op="update",
        reason="drift",
        before={"mail": "p2@example.org", "name": "Ada"},
        after={"mail": "p2@example.org", "name": "Bea"},
        precondition="ab",
        fields=(FieldChange(name="name", before="Ada", after="Bea", rule="trim"),),
    ),
    guards=(Guard("too_many_creates", "people", "creates", 1, 0.0),),
)


def test_a_plan_is_read_as_it_was_written() -> None:
    content = write_plan(PLAN)

    assert read_plan(content, sha256=sha256_of(content)) == PLAN


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert write_plan(PLAN) == write_plan(read_plan(write_plan(PLAN)))


@given(place=st.integers(0, len(write_plan(PLAN)) - 2), bit=st.integers(0, 7))
def test_one_flipped_bit_is_refused(place: int, bit: int) -> None:
    content = bytearray(write_plan(PLAN))
    content[place] ^= 1 << bit

    with pytest.raises(PlanTampered):
        read_plan(bytes(content), sha256=sha256_of(write_plan(PLAN)))


@pytest.mark.parametrize("content", [b"", b"{}\n", b"no plan\n", b'{"end":true,"ops":0,"sha256_of_previous":""}\n'])
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(PlanTampered):
        read_plan(content)


def test_a_plan_says_how_it_stands() -> None:
    assert (PLAN.state, PLAN.counts) == ("blocked", {"create": 1, "update": 1})
    assert a_plan(an_operation()).state == "ready"
    assert a_plan().state == "empty"


def test_operations_are_numbered_in_the_order_in_which_they_are_written() -> None:
    given = [
        an_operation(9, key="b", rank=rank("delete", 0)),
        an_operation(9, key="c"),
        an_operation(9, key="a", rank=1),
    ]

    assert [(one.n, one.key) for one in numbered(given, pipelines=["people"])] == [(1, "c"), (2, "a"), (3, "b")]


def test_those_that_others_refer_to_come_first_and_go_last() -> None:
    found = depths({"boss": None, "lead": "boss", "dev": "lead", "free": "stranger"})

    assert found == {"boss": 0, "free": 0, "lead": 1, "dev": 2}
    assert rank("create", 0) < rank("create", 2) < rank("delete", 2) < rank("delete", 0)


def test_a_circle_of_references_still_has_an_order() -> None:
    assert sorted(depths({"a": "b", "b": "a", "c": "a"}).values()) == [0, 1, 2]
