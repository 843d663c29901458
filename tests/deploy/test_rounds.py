"""`make test` asks once more what did not pass, names it, and ends whatever does not end by itself."""

import os
import sys
from pathlib import Path

import pytest

from tests import run

PASSES_SECOND = """
import pathlib
SEEN = pathlib.Path(__file__).with_name("seen")

def test_first(): ...

def test_second():
    seen = SEEN.exists()
    SEEN.touch()
    assert seen
"""
NEVER_PASSES = "def test_never():\n    raise AssertionError\n\n\ndef test_fine(): ..."
HANGS = "import time\n\n\ndef test_fine(): ...\n\n\ndef test_hangs():\n    time.sleep(600)"


def rounds_of(folder: Path, source: str, *, minutes: tuple[float, float] = (1, 1)) -> int:
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", str(folder), "-q", "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += ["--dist", "loadfile"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return run.two_rounds(command, environment, jobs="1", minutes=minutes)


def test_who_passes_in_the_second_round_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rounds_of(tmp_path, PASSES_SECOND) == 0
    said = capfd.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("RERUN")] == ["RERUN test_it.py::test_second"]


def test_who_never_passes_fails_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rounds_of(tmp_path, NEVER_PASSES) == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 deselected" in capfd.readouterr().out


def test_who_does_not_end_is_stopped_and_says_where_it_stood(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rounds_of(tmp_path, HANGS, minutes=(0.3, 0.05)) == run.STOPPED
    said = capfd.readouterr()
    assert "Stopped after 0.3 minutes" in said.out
    assert "in test_hangs" in said.err
