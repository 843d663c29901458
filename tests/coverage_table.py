"""What the tests reach: branch coverage in total, the least covered rooms, the untested ones, and the floors that hold.

A room is a folder or file of the kernel (`kernel/jobs`), or of a service (`services/hub/store`). Covered is the share of
statements and branches together. The floors stand in pyproject.toml, `[tool.ossature.coverage]`.
"""

import json
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ossature"
LEAST = 20


@dataclass(slots=True)
class Room:
    """What can be reached in a room, statements and branches, and what was."""

    there: int = 0
    reached: int = 0

    @property
    def share(self) -> float:
        """Per cent."""
        return 100 * self.reached / self.there if self.there else 100.0


def rooms(measured: Mapping[str, Any]) -> dict[str, Room]:
    """Every room with code, untested ones too. measured: the JSON report of coverage."""
    found: defaultdict[str, Room] = defaultdict(Room)
    for name, file in measured["files"].items():
        counted = file["summary"]
        room = found[_room((ROOT / name).relative_to(PACKAGE))]
        room.there += counted["num_statements"] + counted["num_branches"]
        room.reached += counted["covered_lines"] + counted["covered_branches"]
    return {name: room for name, room in found.items() if room.there}


def _room(path: Path) -> str:
    depth = {"kernel": 2, "services": 3}.get(path.parts[0], 1)
    return "/".join(path.with_suffix("").parts[:depth])


def table(found: Mapping[str, Room]) -> str:
    """Total, the least covered rooms, the untested ones."""
    total = Room(sum(room.there for room in found.values()), sum(room.reached for room in found.values()))
    least = sorted(found.items(), key=lambda item: item[1].share)
    lines = [f"Coverage of statements and branches: {total.share:.1f} %", f"The {LEAST} least covered rooms:"]
    lines += [
        f"  {room.share:5.1f} %  {name}  ({room.there - room.reached} not reached)" for name, room in least[:LEAST]
    ]
    untested = [name for name, room in least if not room.reached]
    return "\n".join([*lines, f"Untested rooms: {', '.join(untested) or 'none'}"])


def below(found: Mapping[str, Room], floors: Mapping[str, float]) -> list[str]:
    """One line for each floor that does not hold. `total` is all rooms together; a room may stand for several files."""
    faults = []
    for name, floor in floors.items():
        under = [room for key, room in found.items() if name in {"total", key} or key.startswith(f"{name}/")]
        room = Room(sum(one.there for one in under), sum(one.reached for one in under))
        if not room.there or room.share < floor:
            faults.append(f"{name} is covered to {room.share if room.there else 0:.1f} %; its floor is {floor:g} %")
    return faults


def report(*, judged: bool) -> int:
    """Print the table; 1 when a floor is `judged` and does not hold. Reads what `coverage run` has written."""
    measured = coverage.Coverage(messages=False)
    measured.combine()
    measured.save()
    written = ROOT / "build" / "coverage" / "coverage.json"
    measured.json_report(outfile=str(written))
    found = rooms(json.loads(written.read_text()))
    print(table(found), flush=True)
    floors = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ossature"]["coverage"]
    faults = below(found, floors) if judged else []
    print(
        "\n".join(faults or [f"{len(floors)} floors hold."] if judged else ["Part of the tests: no floor is judged."])
    )
    return 1 if faults else 0
