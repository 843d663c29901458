"""The simulator as a program, and what it may import."""

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import ossature.sim
from ossature.sim.app import create
from ossature.sim.faults import FaultError
from ossature.sim.limits import LimitError
from ossature.sim.providers import PROVIDERS
from ossature.sim.run import BAD_FILE, PORT_TAKEN, main

HOME = Path(ossature.sim.__file__).parent


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            yield node.module or ""


def test_the_simulator_imports_nothing_of_the_house_and_few_libraries() -> None:
    foreign = {name for path in HOME.rglob("*.py") for name in _imports(path) if not name.startswith("ossature.sim")}
    roots = {name.split(".")[0] for name in foreign}
    assert roots - sys.stdlib_module_names == {"orjson", "starlette", "uvicorn"}


def test_every_provider_file_is_in_the_tuple() -> None:
    files = [path for path in HOME.glob("*/*.py") if "PROVIDER = Provider(" in path.read_text("utf-8")]
    assert sorted(path.stem for path in files) == sorted(provider.id for provider in PROVIDERS)


def test_every_provider_can_say_no_in_every_way_and_states_its_vital_fields() -> None:
    for provider in PROVIDERS:
        assert provider.error_in_200().status == 200
        assert all(route.vital for route in provider.routes)


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ossature.sim", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HOME.parent.parent)},
    )


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_program_prints_its_url_uses_its_files_and_ends_with_0(tmp_path: Path, end: signal.Signals) -> None:
    limits, faults = tmp_path / "limits.toml", tmp_path / "faults.json"
    limits.write_text('open_er_api = ["1/day"]')
    faults.write_text('[{"provider": "photon", "fault": "503"}]')
    program = _start("--port", "0", "--seed", "5", "--clock", "STEP", "--limits", str(limits), "--faults", str(faults))
    try:
        line = program.stdout.readline()
        url = line.split()[-1]
        with urllib.request.urlopen(f"{url}/_sim", timeout=10) as answer:
            index = json.load(answer)
        with urllib.request.urlopen(f"{url}/_sim/faults", timeout=10) as answer:
            ordered = json.load(answer)["items"]
    finally:
        program.send_signal(end)
        output, errors = program.communicate(timeout=10)
    assert line.startswith("Simulator of 17 providers, seed 5: http://127.0.0.1:")
    assert (index["seed"], index["clock"]["mode"]) == (5, "step")
    assert index["providers"]["open_er_api"]["limits"] == ["1/day"]
    assert [(fault["provider"], fault["fault"]) for fault in ordered] == [("photon", "503")]
    assert (program.returncode, output, errors) == (0, "", "")


def test_a_taken_port_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == PORT_TAKEN == 3
    assert str(port) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--limits", '{"openai": "600/minute"}'),
        ("--limits", '{"openai": ["often"]}'),
        ("--limits", '{"nobody": []}'),
        ("--limits", "not json"),
        ("--faults", '{"openai": []}'),
        ("--faults", '[{"provider": "openai", "fault": "fire"}]'),
    ],
)
def test_a_bad_file_is_exit_code_2_and_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, text: str
) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    assert main([option, str(file), "--port", "0"]) == BAD_FILE == 2
    assert str(file) in capsys.readouterr().err


def test_create_refuses_bad_limits_and_faults() -> None:
    with pytest.raises(LimitError):
        create(limits={"openai": ["x"]})
    with pytest.raises(FaultError):
        create(faults=[{"provider": "openai", "fault": "x"}])
    with pytest.raises(KeyError):
        create(limits={"nobody": []})
