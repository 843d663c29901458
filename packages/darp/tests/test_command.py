"""The command, on a file in the benchmark's format."""

import json
from pathlib import Path

import pytest

import darp
from darp.cli import ALL_SERVED, UNREADABLE, UNSERVED, VIOLATION, main

ROWS = """\
0   0 0  0  0  0 480
1   1 0  3  1  0 1440
2   2 0  3  1  {window}
3   3 0  3 -1  60 75
4   4 0  3 -1  0 1440
"""


def write(folder: Path, *, count: int = 2, window: str = "30 45", end_depot: bool = False, name: str = "t.txt") -> Path:
    file = folder / name
    rows = ROWS.format(window=window) + ("5\t0\t0\t0\t0\t0\t480\n" if end_depot else "")
    file.write_text(f"1 {count} 480 3 30\n{rows}".rstrip("\n"))
    return file


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("end_depot", [False, True])
def test_both_headers_and_both_depot_forms_are_the_same_instance(
    tmp_path: Path, count: int, *, end_depot: bool
) -> None:
    problem = darp.read_cordeau(write(tmp_path, count=count, end_depot=end_depot))

    assert [request.id for request in problem.requests] == ["1", "2"]
    assert darp.solve(problem, 10, max_iterations=20).cost == pytest.approx(8.0)


@pytest.mark.parametrize(
    "text", ["", "1 2 3\n", "1 1 480 3 30\n0 0 0 0 0 0 480\n", "1 1 480 3 30\n0 0 0\n1 1 1\n2 2 2\n", "x"]
)
def test_another_file_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.txt"
    file.write_text(text)

    assert main(["solve", str(file)]) == UNREADABLE
    assert "other.txt" in capsys.readouterr().err


def test_the_same_seed_prints_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, said = write(tmp_path), set()
    for _ in range(2):
        assert main(["solve", str(file), "--iterations", "50", "--seed", "1", "--json"]) == ALL_SERVED
        said.add(capsys.readouterr().out)

    assert len(said) == 1
    document = json.loads(said.pop())
    assert document["instance"] == "t"
    assert document["cost"] == pytest.approx(8.0)
    assert document["violations"] == []


def test_what_was_solved_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, plan = write(tmp_path), tmp_path / "plan.json"
    main(["solve", str(file), "--iterations", "50", "--json"])
    plan.write_text(capsys.readouterr().out)

    assert main(["check", str(file), str(plan)]) == ALL_SERVED
    assert "0 violations" in capsys.readouterr().out
    plan.write_text(json.dumps({"routes": [[3, 1, 2, 4]]}))
    assert main(["check", str(file), str(plan)]) == VIOLATION
    assert "precedence: vehicle 1, request 1" in capsys.readouterr().out
    plan.write_text(json.dumps({"routes": [[1, 3]]}))
    assert main(["check", str(file), str(plan)]) == UNSERVED
    plan.write_text(json.dumps({"routes": [[17]]}))
    assert main(["check", str(file), str(plan)]) == UNREADABLE


@pytest.mark.parametrize(
    "text", ["null", "[]", '{"routes": null}', '{"routes": [["1"]]}', '{"routes": [7]}', "[" * 100_000]
)
def test_what_is_no_plan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)

    assert main(["check", str(write(tmp_path)), str(plan)]) == UNREADABLE
    assert "not a plan" in capsys.readouterr().err


@pytest.mark.parametrize(
    "header", ["1e9 2 480 3 30", "-1 2 480 3 30", "inf 2 480 3 30", "1 2 480 nan 30", "1 2 480 inf 30"]
)
def test_a_heading_that_means_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text().replace("1 2 480 3 30", header))

    assert main(["solve", str(file), "--iterations", "1"]) == UNREADABLE
    assert "t.txt" in capsys.readouterr().err


def test_the_gap_to_a_known_value_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = tmp_path / "best.csv"
    best.write_text("instance,best_known\nt,4.00\n")

    main(["solve", str(write(tmp_path)), "--iterations", "50", "--best-known", str(best)])

    assert "gap_percent    100.0" in capsys.readouterr().out


def test_who_cannot_be_served_shows_in_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(write(tmp_path, window="0 1")), "--iterations", "5", "--json"]) == UNSERVED
    assert json.loads(capsys.readouterr().out)["unserved"] == ["2"]


def test_the_version_says_which_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"darp {darp.__version__} {darp.KERNEL}\n"


@pytest.fixture
def without_two(tmp_path: Path) -> tuple[str, str]:
    """A file with two requests, and a plan that serves the first."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"routes": [[1, 3]]}))
    return str(write(tmp_path)), str(plan)


def test_a_request_is_offered_a_place(without_two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["insert", *without_two, "--request", "2", "--json"]) == ALL_SERVED
    offers = json.loads(capsys.readouterr().out)
    assert [(one["vehicle"], one["added_cost"]) for one in offers] == [("1", pytest.approx(2.0))]
    positions = offers[0]["pickup_position"], offers[0]["dropoff_position"]
    stops = offers[0]["route"]["stops"]
    assert [stops[position]["request"] for position in positions] == ["2", "2"]

    assert main(["insert", *without_two, "--request", "2"]) == ALL_SERVED
    assert "vehicle 1: +2.00, " in capsys.readouterr().out


def test_who_has_a_place_or_is_not_there_is_not_offered_one(
    without_two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["insert", *without_two, "--request", "1"]) == UNREADABLE
    assert "'1' has a place already" in capsys.readouterr().err
    assert main(["insert", *without_two, "--request", "9"]) == UNREADABLE
    assert "there is no request '9'" in capsys.readouterr().err


def test_a_plan_that_breaks_a_rule_takes_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"routes": [[3, 1]]}))

    assert main(["explain", str(write(tmp_path)), str(plan), "--request", "2"]) == UNREADABLE
    assert "precedence: vehicle 1, request 1" in capsys.readouterr().err


def test_a_vehicle_says_what_it_costs_or_which_rule_is_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"routes": [[1, 3]]}))

    assert main(["explain", str(write(tmp_path)), str(plan), "--request", "2"]) == ALL_SERVED
    assert capsys.readouterr().out == "vehicle 1: +2.00\n"
    # The vehicle is 2 away at the earliest.
    file = str(write(tmp_path, window="0 1"))
    assert main(["explain", file, str(plan), "--request", "2"]) == UNSERVED
    assert "vehicle 1: no: late by 1.00" in capsys.readouterr().out
    assert main(["explain", file, str(plan), "--request", "2", "--json"]) == UNSERVED
    [answer] = json.loads(capsys.readouterr().out)
    assert {"rule": "late", "amount": pytest.approx(1.0, abs=0.01)} in answer["obstacles"]
    assert main(["insert", file, str(plan), "--request", "2"]) == UNSERVED


def test_a_folder_is_measured_against_the_best_known_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, page = tmp_path / "set", tmp_path / "page.md"
    folder.mkdir()
    write(folder, name="one.txt")
    write(folder, name="two.txt", window="0 1")
    (tmp_path / "best_known.csv").write_text("instance,best_known\none,4.00\n")
    page.write_text("before\n<!-- gaps -->\nold\n<!-- end of gaps -->\nafter\n")

    assert main(["bench", str(folder), "--seconds", "0.02", "--seeds", "2", "--into", str(page)]) == UNSERVED

    table = capsys.readouterr().out
    assert "| one | 2 | 1 | 8.00 | 4.00 | 100.00 | 0 |" in table
    assert "| two | 2 | 1 | 6.00 |  |  | 2 |" in table
    assert "0.02 s of CPU time, one thread, mean of 2 seed(s): mean gap 100.00 %" in table
    assert page.read_text() == f"before\n<!-- gaps -->\n{table}<!-- end of gaps -->\nafter\n"


def test_a_folder_without_instances_or_a_page_without_marks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(tmp_path)]) == UNREADABLE
    assert "there is no *.txt in it" in capsys.readouterr().err
    page = tmp_path / "page.md"
    page.write_text("no marks")
    write(tmp_path)
    assert main(["bench", str(tmp_path), "--seconds", "0.01", "--into", str(page)]) == UNREADABLE
    assert "<!-- gaps -->" in capsys.readouterr().err
