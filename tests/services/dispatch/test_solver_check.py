"""What the doctor says of the solver."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import darp
from ossature.kernel.observe.health import inspect
from ossature.kernel.testing.houses import Home
from ossature.services.dispatch.usecases.solving import SOLVER

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(darp.KERNEL != "cpp", reason="the C++ kernel is not compiled here")
async def test_a_compiled_solver_is_well(home: Home) -> None:
    [found] = (await inspect([SOLVER], home.house)).findings

    assert (found.health.value, found.facts) == ("ok", {"kernel": "cpp"})


def test_the_doctor_warns_of_what_is_slower_without_the_compiled_kernel(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    shutil.copytree(
        Path(darp.__file__).parent, packages / "darp", ignore=shutil.ignore_patterns("_kernel*", "__pycache__")
    )
    # -S: the package as it is installed here stays out of sight.
    path = [str(packages), str(ROOT / "src"), sysconfig.get_path("purelib")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(path)}

    def ossature(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-S", "-m", "ossature.app", "--json", *words],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True,
        ).stdout  # fmt: skip

    ossature("migrate", "up")
    [line] = [line for line in json.loads(ossature("doctor")) if line["check"] == "solver"]

    assert line["state"] == "degraded"
    assert "about 20 times fewer tries a second" in line["detail"]
    assert "C++17 compiler" in line["advice"]
