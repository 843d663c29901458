"""Processes: they start, survive their children, and end when they are told to."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from ossature.kernel.cli import up

# A web process in twenty lines: it answers with its pid, and with `--fd` and `--ready-fd` like ours.
SERVER = """
import os, signal, socket, sys, time
options = dict(argument[2:].split("=") for argument in sys.argv[1:])
if os.path.exists("broken"): sys.exit(3)
listening = socket.socket(fileno=int(options["fd"]))
listening.setblocking(True)
stop = False
def end(*_):
    global stop
    stop = True
signal.signal(signal.SIGTERM, end)
os.write(int(options["ready-fd"]), b"ready\\n")
listening.settimeout(0.05)
while not stop:
    try: connection, _ = listening.accept()
    except TimeoutError: continue
    connection.recv(4096)
    time.sleep(0.05)
    body = str(os.getpid()).encode()
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    connection.close()
"""
PARENT = """
import socket, sys
from pathlib import Path
from ossature.kernel.cli.supervisor import supervise
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
supervise([sys.executable, "server.py"], listening=listening, count=2, metrics_dir=Path("metrics"))
"""


@contextmanager
def running(*command: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, *command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OSSATURE_OBSERVE_LOG_FORMAT": "json"},
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


def until(what: Callable[[], bool], limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], int]]]:
    """A supervisor of two processes, and a request that gives the pid of the one that answered."""
    (tmp_path / "server.py").write_text(SERVER)
    with running("-c", PARENT, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())

        def ask() -> int:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                return int(answer.read())

        yield parent, ask


def pids(ask: Callable[[], int]) -> set[int]:
    with ThreadPoolExecutor(4) as together:  # one process cannot answer all of them
        return set(together.map(lambda _: ask(), range(8)))


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_dies_is_replaced(supervised: tuple[subprocess.Popen[str], Callable[[], int]]) -> None:
    _, ask = supervised
    victim = ask()

    os.kill(victim, signal.SIGKILL)

    until(lambda: len(pids(ask) - {victim}) == 2)


def test_a_rolling_restart_replaces_every_process_and_loses_no_request(
    supervised: tuple[subprocess.Popen[str], Callable[[], int]],
) -> None:
    parent, ask = supervised
    until(lambda: len(pids(ask)) == 2)
    before = pids(ask)

    parent.send_signal(signal.SIGHUP)
    until(lambda: not before & pids(ask))

    assert len(pids(ask)) == 2
    assert not [pid for pid in before if is_there(pid)]


def test_a_restart_that_fails_leaves_the_old_processes_serving(
    supervised: tuple[subprocess.Popen[str], Callable[[], int]], tmp_path: Path
) -> None:
    parent, ask = supervised
    until(lambda: len(pids(ask)) == 2)
    before = pids(ask)
    (tmp_path / "broken").touch()

    parent.send_signal(signal.SIGHUP)
    time.sleep(1.5)

    assert pids(ask) == before


def test_the_end_of_the_supervisor_is_the_end_of_all(
    supervised: tuple[subprocess.Popen[str], Callable[[], int]],
) -> None:
    parent, ask = supervised
    until(lambda: len(pids(ask)) == 2)
    children = pids(ask)

    parent.send_signal(signal.SIGTERM)

    assert parent.wait(20) == 0
    assert not [pid for pid in children if is_there(pid)]


@pytest.mark.parametrize("verb", ["worker", "scheduler"])
@pytest.mark.usefixtures("at_home")
def test_a_process_ends_with_0_when_it_is_told_to(verb: str, tmp_path: Path) -> None:
    code = "import sys; from ossature.kernel.cli.main import run; sys.exit(run((), sys.argv[1:]))"
    with running("-c", code, verb, cwd=tmp_path) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("process.started" in line for line in lines)

        process.send_signal(signal.SIGTERM)

        assert any("process.stopped" in line for line in lines)
        assert process.wait(60) == 0


@pytest.mark.usefixtures("at_home")
def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    code = "import sys; from ossature.kernel.cli.main import run; sys.exit(run((), sys.argv[1:]))"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-c", code, "serve", f"--port={port}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.strip() == f"ossature: 127.0.0.1:{port} cannot be listened on: Address already in use."


def test_up_migrates_serves_shows_the_key_once_and_ends_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-0f9e8d7c6b5a4321-PQRSTUVWXYZ"
    monkeypatch.setenv("OSSATURE_SECRET_KEY", canary)
    monkeypatch.setenv("OSSATURE_OBSERVE_LOG_LEVEL", "debug")
    code = "import sys; from ossature.kernel.cli.main import run; sys.exit(run((), sys.argv[1:]))"
    said = []

    for _ in range(2):
        with running("-c", code, "up", "--port=0", cwd=tmp_path) as process:
            assert process.stderr is not None
            lines = []
            for line in iter(process.stderr.readline, ""):
                lines.append(line)
                if "ossature is up:" in line:
                    break
            address = lines[-1].split()[3]
            with urllib.request.urlopen(f"{address}/ready", timeout=10) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            lines += process.stderr.readlines()
            assert process.wait(60) == 0
            said.append("".join(lines))

    first, second = said
    assert "Migrated: 0001" in first
    assert ("Your API key, shown this once: oss_" in first, "oss_" in second) == (True, False)
    assert canary not in first + second
    assert (tmp_path / "var" / "ossature.db").is_file()


def test_whoever_kills_the_command_of_the_simulator_kills_the_simulator(tmp_path: Path) -> None:
    code = "import sys; from ossature.kernel.cli.main import run; sys.exit(run((), sys.argv[1:]))"
    with running("-c", code, "sim", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{address}/_sim/requests", timeout=10) as answer:
            assert answer.status == 200

        process.kill()
        process.wait(10)

        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"{address}/_sim/requests", timeout=10)


def test_two_products_on_one_machine_have_a_simulator_each() -> None:
    with up.simulated_world(wanted=True) as first, up.simulated_world(wanted=True) as second:
        assert first != second
        for address in (first, second):
            with urllib.request.urlopen(f"{address}/_sim/requests", timeout=60) as answer:
                assert answer.status == 200

    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{second}/_sim/requests", timeout=10)
