"""Both wheels, and nothing else than what they ask for, plan a day: an environment and a folder that were empty."""

import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import CI
from tests.journeys.product import Product

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def _install(python: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    """Install from what `make setup` has left in the cache: tests use no network."""
    lock = str(ROOT / "requirements.lock")
    command = [str(UV), "pip", "install", "--offline", "--python", str(python), "--constraint", lock, *wanted]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel of ossature, and that of the solver."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, ROOT / "packages" / "darp"):
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
        subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("ossature-*.whl")), next(folder.glob("ossature_darp-*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheels: tuple[Path, Path]) -> Path:
    """The scripts of an environment that has both wheels and what they depend on."""
    bin_ = tmp_path_factory.mktemp("environment") / "bin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bin_.parent)], check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    others = _install(bin_ / "python", *project["dependencies"], "numpy")
    if others.returncode and not CI:
        pytest.skip(f"what the wheels depend on is in no cache here: {others.stderr.strip().splitlines()[-1]}")
    ours, solver = wheels
    done = _install(bin_ / "python", f"ossature[dispatch] @ {ours.as_uri()}", f"ossature-darp @ {solver.as_uri()}")
    assert done.returncode == 0, done.stderr
    return bin_


@pytest.mark.journey
def test_both_wheels_plan_the_day_of_the_demo(environment: Path, tmp_path: Path) -> None:
    python = str(environment / "python")
    asked = [python, "-c", "import darp, ossature; print(darp.KERNEL, darp.__file__, ossature.__file__)"]
    kernel, *files = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    assert kernel == "cpp"
    assert all(file.startswith(str(environment.parent)) for file in files)

    with Product(tmp_path, {"PYTHONPATH": ""}, ("--demo",), python=python) as product:
        plan = _planned(product)

    assert plan["metrics"]["trips"] == 48
    assert plan["metrics"]["unserved"] <= 4


def _planned(product: Product) -> dict[str, dict[str, int]]:
    """The first plan, once it is there."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        if plans := product.ask("GET", "/v1/dispatch/plans")[1]["items"]:
            return dict(plans[0])
        time.sleep(0.2)
    raise AssertionError((product.folder / "product.log").read_text()[-3000:])


@pytest.mark.journey
def test_the_command_of_the_solver_is_installed_too(environment: Path) -> None:
    said = subprocess.run([environment / "darp", "version"], capture_output=True, text=True, check=True).stdout

    assert re.fullmatch(r"darp \d+\.\d+\.\d+ cpp\n", said)
