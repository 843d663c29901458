"""`ossature predict check-leak`: no forecast knows the future, and the check would see one that does."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ossature.services.predict.commands import app
from ossature.services.predict.domain.simulate import World, simulate
from ossature.services.predict.providers.matches_odds import write_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaks")
    write_folder(simulate(World(seed=2, seasons=3, leagues=1, teams=10)), folder, name="simulated")
    return folder


def check(data: Path, *more: str) -> Result:
    window = ["--from", "2021-09-01", "--to", "2021-11-30", "--cuts", "2", "--json"]
    return CliRunner().invoke(app, ["check-leak", "--data", str(data), *window, *more])


def test_no_forecast_knows_the_future(data: Path) -> None:
    done = check(data)

    assert json.loads(done.stdout) == {"leaks": [], "plant_found": True}
    assert done.exit_code == 0


def test_a_result_among_the_inputs_is_found(data: Path) -> None:
    done = check(data, "--plant")

    found = json.loads(done.stdout)["leaks"]
    assert done.exit_code == 1
    assert {"past-odds", "collective"} <= {leak["model"] for leak in found}
    assert not {"elo", "poisson", "results-only", "base-rate"} & {leak["model"] for leak in found}
    assert {leak["facts"] for leak in found} == {"deleted", "permuted"}


def test_an_empty_window_is_invalid_input(data: Path) -> None:
    done = check(data, "--to", "2021-08-01")

    assert done.exit_code == 3
