"""Days on which requests become known: read from their format, and from the published files where they are."""

import json
import os
from pathlib import Path

import pytest

import darp
from darp import FormatError

DAY = {
    "static_info": {
        "number_of_vehicles": 1, "vehicle_capacity": 3, "max_ride_time": 30, "max_route_time": 480, "planing_horizon": 1440,
        "depot_location": {"x_coord": 0.0, "y_coord": 0.0},
    },
    "requests": [
        {
            "id": 7, "pickup_location": {"x_coord": 0.0, "y_coord": 3.0}, "delivery_location": {"x_coord": 4.0, "y_coord": 3.0},
            "pickup_lower_tw": 0, "pickup_upper_tw": 1440, "pickup_service_time": 3, "delivery_lower_tw": 100,
            "delivery_upper_tw": 115, "delivery_service_time": 3, "load": 1, "arrival_time": 42,
        }
    ],
}  # fmt: skip


def test_a_dynamic_day_says_when_each_request_becomes_known(tmp_path: Path) -> None:
    (tmp_path / "day.json").write_text(json.dumps(DAY))

    day = darp.read_ddarp(tmp_path / "day.json")

    assert day.known_at == {"7": 42.0}
    assert darp.solve(day.problem, 5, max_iterations=3).cost == pytest.approx(3 + 4 + 5)


def test_its_static_twin_is_known_before_the_day(tmp_path: Path) -> None:
    static = {**DAY, "requests": [{k: v for k, v in DAY["requests"][0].items() if k != "arrival_time"}]}
    (tmp_path / "day.json").write_text(json.dumps(static))

    assert darp.read_ddarp(tmp_path / "day.json").known_at == {"7": 0.0}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"static_info": {}, "requests": []}', '{"static_info": 1, "requests": 2}']
)
def test_another_document_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "day.json").write_text(text)

    with pytest.raises(FormatError, match=r"day\.json"):
        darp.read_ddarp(tmp_path / "day.json")


@pytest.mark.parametrize("vehicles", ["Infinity", "NaN", "1e9", "-1"])
def test_as_many_vehicles_as_there_cannot_be_are_refused(tmp_path: Path, vehicles: str) -> None:
    text = json.dumps(DAY).replace('"number_of_vehicles": 1', f'"number_of_vehicles": {vehicles}')
    (tmp_path / "day.json").write_text(text)

    with pytest.raises(FormatError, match=r"day\.json"):
        darp.read_ddarp(tmp_path / "day.json")


def published(folder: str, suffix: str) -> list[Path]:
    data = os.environ.get("DARP_DATA", "")
    files = sorted(Path(data).glob(f"{folder}/*{suffix}")) if data else []
    if not files:
        pytest.skip("DARP_DATA names no folder with benchmark files")
    return files


def test_every_published_file_has_the_requests_that_its_name_says() -> None:
    for file in published("a", ".txt"):
        problem = darp.read_cordeau(file)
        vehicles, requests = (int(part) for part in file.stem[1:].split("-"))
        assert (len(problem.vehicles), len(problem.requests)) == (vehicles, requests)


def test_a_file_with_one_depot_row_starts_and_ends_there() -> None:
    for file in published("R", ".txt"):
        problem = darp.read_cordeau(file)
        rows = [line for line in file.read_text().splitlines() if line.strip()]
        assert 2 * len(problem.requests) == len(rows) - (2 if len(rows) % 2 == 0 else 3)
        assert problem.durations[problem.vehicles[0].start.place, problem.vehicles[0].end.place] == 0.0


def test_every_published_dynamic_day_is_planned_when_all_is_known() -> None:
    for file in published("dynamic", ".json")[:4]:
        day = darp.read_ddarp(file)
        plan = darp.solve(day.problem, 0.5)
        assert darp.check(day.problem, plan) == []
        assert max(day.known_at.values()) > 0
