"""The comparison finds what a plain one finds, whatever the records."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossature.services.sync.domain.canonical import encode
from ossature.services.sync.domain.config import Compare
from ossature.services.sync.domain.difference import Index
from ossature.services.sync.domain.layout import Layout, Record
from ossature.services.sync.domain.problems import SpillFailed
from ossature.services.sync.store.spill import SpillFile

LAYOUT = Layout(
    ["mail", "name", "active", "since", "names", "note"],
    ["mail"],
    {
        "mail": Compare(rule="ci"),
        "name": Compare(rule=["trim", "null_as_empty"]),
        "active": Compare(rule="bool"),
        "since": Compare(rule="day", never="2099-12-31"),
        "names": Compare(rule="names", cultures=["fr"]),
    },
)
MAILS = st.sampled_from(["a@x", "A@x", "b@x", "B@x ", "c@x", "é@x"])
RECORDS = st.tuples(
    MAILS,
    st.sampled_from([None, "", " ", "Ada", " Ada "]),
    st.sampled_from([True, False, "oui", "non", "maybe"]),
    st.sampled_from([None, "2099-12-31", "2026-01-31", "2026-01-31T00:00:00Z"]),
    st.sampled_from([{}, {"fr": "x"}, {"nl": "y", "fr": "x"}, {"fr": "z"}]),
    st.sampled_from([None, 1, True, "1"]),
)


def _by_key(records: list[Record]) -> dict[str, Record]:
    return {key: record for record in records if (key := LAYOUT.key_of(record)) is not None}


def _plainly(source: dict[str, Record], target: dict[str, Record]) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    for key, record in source.items():
        if key not in target:
            found.add(("new", key, ()))
        elif fields := LAYOUT.differing(record, target[key]):
            found.add(("changed", key, fields))
    return found | {("gone", key, ()) for key in target if key not in source}


@given(source=st.lists(RECORDS, max_size=8), target=st.lists(RECORDS, max_size=8))
def test_the_packed_comparison_finds_what_a_plain_one_finds(source: list[Record], target: list[Record]) -> None:
    wanted, there = _by_key(source), _by_key(target)
    index = Index(LAYOUT)
    index.add(there.values())

    alike, differences = index.compare(list(wanted), list(wanted.values()))
    found = [*differences, *index.rest()]

    assert {(one.kind, one.key, one.fields) for one in found} == _plainly(wanted, there)
    assert {*alike, *(one.key for one in differences)} == set(wanted)
    assert all(one.actual == there[one.key] for one in found if one.actual is not None)


@contextmanager
def _spilling(layout: Layout = LAYOUT) -> Iterator[Index]:
    """An index whose memory has room for nothing."""
    with SpillFile(Path(tempfile.gettempdir())) as file:
        yield Index(layout, limit_bytes=1, spill=lambda: file)


@given(source=st.lists(RECORDS, max_size=8), target=st.lists(RECORDS, max_size=8))
def test_what_lies_in_a_file_is_compared_as_what_lies_in_memory(source: list[Record], target: list[Record]) -> None:
    wanted, there = _by_key(source), _by_key(target)
    with _spilling() as index:
        for record in there.values():  # the first page is taken out of memory again, the others never get there
            index.add([record])

        alike, differences = index.compare(list(wanted), list(wanted.values()))
        found = [*differences, *index.rest()]

    assert index.spilled == bool(there)
    assert {(one.kind, one.key, one.fields) for one in found} == _plainly(wanted, there)
    assert {*alike, *(one.key for one in differences)} == set(wanted)
    assert all(one.actual == there[one.key] for one in found if one.actual is not None)


def test_records_go_to_the_file_once_memory_has_no_room_for_more() -> None:
    layout = Layout(["id", "text"], ["id"], {})
    with SpillFile(Path(tempfile.gettempdir())) as file:
        index = Index(layout, limit_bytes=100_000, spill=lambda: file)
        index.add([(f"a{n}", "x" * 50) for n in range(100)])
        before = index.spilled
        index.add([(f"b{n}", "x" * 50) for n in range(2_000)])

        alike, differences = index.compare(["a1", "b1"], [("a1", "x" * 50), ("b1", "y")])
        rest = list(index.rest())

    assert (before, index.spilled) == (False, True)
    assert (alike, [(one.key, one.fields) for one in differences]) == (["a1"], [("b1", ("text",))])
    assert len(rest) == 2_098
    assert rest[0].actual == ("a0", "x" * 50)


def test_a_file_that_memory_spills_to_tells_nobody_anything(tmp_path: Path) -> None:
    with SpillFile(tmp_path) as file:
        (name,) = file.put([b"somebody@example.org"])
        file._file.seek(0)
        lies_there = file._file.read()

        assert file.get(name) == b"somebody@example.org"
        assert list(tmp_path.iterdir()) == []
    assert b"example" not in lies_there


def test_a_row_that_was_altered_in_its_file_is_not_believed(tmp_path: Path) -> None:
    with SpillFile(tmp_path) as file:
        (name,) = file.put([b"somebody@example.org"])
        file._file.seek(3)
        file._file.write(b"?")

        with pytest.raises(SpillFailed):
            file.get(name)


def test_a_folder_in_which_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    with pytest.raises(SpillFailed, match="taken"):
        SpillFile(tmp_path / "taken")


@given(
    left=st.lists(
        st.sampled_from([None, 1, True, 1.0, "1", 0, False, "", [1], [True], {"a": 1}, {"a": True}]), min_size=3
    ),
    right=st.lists(st.sampled_from([None, 1, True, 1.0, "1", 0, False, "", [1], [True], {"a": 1}]), min_size=3),
)
def test_a_page_differs_where_its_records_differ_one_by_one(left: list[Any], right: list[Any]) -> None:
    layout = Layout(["id", "value"], ["id"], {})
    rows = min(len(left), len(right))
    index = Index(layout)
    index.add([(f"k{n}", right[n]) for n in range(rows)])

    alike, differences = index.compare([f"k{n}" for n in range(rows)], [(f"k{n}", left[n]) for n in range(rows)])

    same = [n for n in range(rows) if encode(left[n]) == encode(right[n])]
    assert alike == [f"k{n}" for n in same]
    assert {one.key for one in differences} == {f"k{n}" for n in range(rows) if n not in same}


@given(records=st.lists(RECORDS | st.tuples(st.sampled_from([None, 7, True, " ", "\x1f", "a\x1fb"]), *[st.none()] * 5)))
def test_a_page_has_the_keys_that_its_records_have(records: list[Record]) -> None:
    plain = Layout(LAYOUT.fields, ["mail", "name"], {})

    assert LAYOUT.keys_of(records) == [LAYOUT.key_of(one) for one in records]
    assert plain.keys_of(records) == [plain.key_of(one) for one in records]


def test_equal_values_of_two_types_differ() -> None:
    layout = Layout(["id", "flag", "note"], ["id"], {"flag": Compare(rule="bool")})
    index = Index(layout)
    index.add([("a", 1, 1), ("b", True, True)])

    alike, differences = index.compare(["a", "b"], [("a", True, True), ("b", True, True)])

    assert (alike, [one.fields for one in differences]) == (["b"], [("note",)])


@given(records=st.lists(RECORDS, max_size=8))
def test_a_side_compared_with_itself_differs_in_nothing(records: list[Record]) -> None:
    held = _by_key(records)
    index = Index(LAYOUT)
    index.add(held.values())

    assert index.compare(list(held), list(held.values())) == (list(held), [])
    assert list(index.rest()) == []


def test_a_difference_shows_what_the_target_said_and_not_its_canonical_form() -> None:
    said = ("a@x", "Ada", "oui", "2026-01-31T00:00:00Z", {"fr": "x", "nl": "y"}, None)
    index = Index(LAYOUT)
    index.add([said])

    _, (found,) = index.compare(["a@x"], [("a@x", "Bea", True, "2026-01-31", {"fr": "x"}, None)])

    assert found.actual == said
    assert found.fields == ("name",)


def test_twin_keys_and_records_without_one_are_counted() -> None:
    index = Index(LAYOUT)

    index.add([("a@x", *[None] * 5), ("A@x", *[None] * 5), (None, *[None] * 5)])

    assert (index.duplicates, index.keyless_n, index.rows_n) == ({"a@x"}, 1, 3)
