"""The table of capabilities names tests that exist."""

import re
import subprocess

import pytest

from tests.house.places import ROOT

PAGE = ROOT / "docs" / "reference" / "capabilities.md"
STATES = {"done", "partly", "not yet"}
NUMBERS = {"K": 60, "A": 16, "H": 50, "D": 62, "P": 81, "S": 47, "F": 11, "O": 19}


def _rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]\d+ ", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_has_a_number_a_sentence_a_state_a_room_and_a_test() -> None:
    for row in _rows():
        assert len(row) == 5, row
        number, sentence, state, room, test = row
        assert sentence, number
        assert state in STATES, row
        if state == "done":
            assert room, row
            assert test, row


@pytest.mark.parametrize("letter", sorted(NUMBERS))
def test_every_number_has_one_row(letter: str) -> None:
    numbers = [row[0] for row in _rows() if row[0].startswith(letter)]

    assert numbers == [f"{letter}{n}" for n in range(1, NUMBERS[letter] + 1)]


def test_every_named_test_exists() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "tests", "bench", "packages"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for row in _rows():
        for name in re.findall(r"`([^`]+)`", row[4]):
            path, _, function = name.partition("::")
            assert any(t == path or t.startswith(path.rstrip("/") + "/") for t in tracked), f"{row[0]}: {path}"
            if function:
                assert f"def {function}" in (ROOT / path).read_text(), f"{row[0]}: {name}"
