"""The table of coverage counts statements and branches of whole rooms, and a drop below a floor is told."""

from typing import Any

import pytest

from tests import coverage_table
from tests.coverage_table import Room


@pytest.fixture
def measured() -> dict[str, Any]:
    """What coverage writes, about four files."""

    def file(statements: int, lines: int, branches: int, taken: int) -> dict[str, Any]:
        counted = {
            "num_statements": statements,
            "covered_lines": lines,
            "num_branches": branches,
            "covered_branches": taken,
        }
        return {"summary": counted}

    return {
        "files": {
            "src/ossature/kernel/jobs/queue.py": file(80, 80, 20, 10),
            "src/ossature/kernel/jobs/transport/broker.py": file(90, 45, 10, 5),
            "src/ossature/services/hub/store.py": file(50, 0, 10, 0),
            "src/ossature/kernel/cache/__init__.py": file(0, 0, 0, 0),
        }
    }


def test_files_of_a_room_are_counted_together(measured: dict[str, Any]) -> None:
    assert coverage_table.rooms(measured) == {"kernel/jobs": Room(200, 140), "services/hub/store": Room(60, 0)}


def test_the_table_names_the_least_covered_rooms_and_the_untested_ones(measured: dict[str, Any]) -> None:
    said = coverage_table.table(coverage_table.rooms(measured)).splitlines()

    assert said[0] == "Coverage of statements and branches: 53.8 %"
    assert said[2:4] == ["    0.0 %  services/hub/store  (60 not reached)", "   70.0 %  kernel/jobs  (60 not reached)"]
    assert said[-1] == "Untested rooms: services/hub/store"


def test_a_floor_that_does_not_hold_is_told(measured: dict[str, Any]) -> None:
    found = coverage_table.rooms(measured)

    assert coverage_table.below(found, {"total": 50, "kernel/jobs": 70}) == []
    assert coverage_table.below(found, {"total": 54, "kernel": 71, "kernel/gone": 1}) == [
        "total is covered to 53.8 %; its floor is 54 %",
        "kernel is covered to 70.0 %; its floor is 71 %",
        "kernel/gone is covered to 0.0 %; its floor is 1 %",
    ]
