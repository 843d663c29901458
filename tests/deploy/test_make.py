"""`make setup` and `make run` on a machine without a C++ compiler: the product is installed, and says once what is slower."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CI

ROOT = Path(__file__).parents[2]
COMPILERS = re.compile(r"(.*-)?(c|g|clang)\+\+(-.*)?|(.*-)?(cc|gcc|clang|CC)(-\d+)?")


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, and an empty environment with uv in it: tests use no network."""
    folder = tmp_path_factory.mktemp("checkout")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    shutil.copy(Path(sys.executable).with_name("uv"), folder / ".venv" / "bin" / "uv")
    return folder


@pytest.fixture
def without_compiler(tmp_path: Path) -> str:
    """A search path with every program of this machine but compilers."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in place.iterdir() if place.is_dir() else ():
            if not COMPILERS.fullmatch(program.name) and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


@pytest.mark.slow
def test_without_a_compiler_one_line_says_what_is_slower(checkout: Path, without_compiler: str) -> None:
    assert shutil.which("c++", path=without_compiler) is None
    environment = {"PATH": without_compiler, "HOME": os.environ["HOME"], "UV_OFFLINE": "1"}

    made = subprocess.run(
        ["make", ".venv/.run"], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )

    said = made.stdout + made.stderr
    if made.returncode and "network was disabled" in said.lower() and not CI:
        pytest.skip(f"what is installed is in no cache here: {said.strip().splitlines()[-1]}")
    assert made.returncode == 0, said
    assert [line for line in said.splitlines() if re.search("compil|cmake|error|warning", line, re.IGNORECASE)] == [
        "No C++ compiler: plans are made by Python, about 20 times slower."
    ]
    kernel = [".venv/bin/python", "-c", "import darp; print(darp.KERNEL)"]
    assert subprocess.run(kernel, cwd=checkout, capture_output=True, text=True, check=True).stdout == "python\n"
