"""The product as a process, for journeys: started as a person starts it, killed as nobody should."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

# Whatever is waited for ends the waiting; a machine that has much else to do may take its time.
START_LIMIT_S = 120
ANSWER_LIMIT_S = 60.0


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Product:
    """`ossature up` in a folder of its own. module: whose `main` it is. python: which
    one runs it. `key` is the administrator's, known from the first start on."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    module: str = "ossature.app"
    python: str = sys.executable
    port: int = field(default_factory=free_port)
    key: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it and wait until it serves."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "OSSATURE_VAR_DIR": str(self.folder / "var"),
            "OSSATURE_OBSERVE_LOG_LEVEL": "warning",
            # What measures the coverage of child processes is told to them by these.
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **self.environment,
        }
        command = [self.python, "-m", self.module, "up", "--port", str(self.port), *self.arguments]
        log_path = self.folder / "product.log"
        log = log_path.open("a")
        starts = log_path.read_text().count("ossature is up")
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                break
            try:
                if log_path.read_text().count("ossature is up") > starts and self.ask("GET", "/ready")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        said = (self.folder / "product.log").read_text()
        assert self.process.poll() is None, said[-3000:]
        found = re.search(r"(oss_\w+)", said)
        assert found, said[-3000:]
        self.key = found[1]
        return self

    def kill(self) -> None:
        """End it with SIGKILL: nothing is said goodbye to."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of one request, with the administrator's key. Raises: OSError when nobody answers."""
        given = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        status, _, content = asked(self.port, method, path, body, given | (headers or {}))
        return status, json.loads(content) if content else None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if self.process is not None:
            end(self.process, signal.SIGINT)


@dataclass
class Tree:
    """Web processes, a worker and a scheduler as an operator starts them one by one, on one database.

    program: what Python runs instead of the product, for services of a test's own. of: settings of one part, by its verb.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    web_processes: int = 1
    program: tuple[str, ...] = ("-m", "ossature.app")
    of: dict[str, dict[str, str]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    probe_port: int = field(default_factory=free_port)
    key: str = ""
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What a verb of the command line says."""
        command = [sys.executable, *self.program, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=check, timeout=300
        )

    def log(self, verb: str) -> str:
        """What a part has written."""
        return (self.folder / f"{verb}.log").read_text()

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of one request, with the administrator's key."""
        status, _, content = asked(
            self.port, method, path, body, {"Authorization": f"Bearer {self.key}", **(headers or {})}
        )
        return status, json.loads(content) if content else None

    def page(self, path: str, *, worker: bool = False) -> str:
        """The text of a page, of the web processes or of the worker's probes, read with the administrator's key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return asked(self.probe_port if worker else self.port, "GET", path, None, headers)[2].decode()

    def __enter__(self) -> Self:
        self.run("migrate", "up")
        self.key = self.run("admin-key").stdout.strip()
        self._start("serve", "--port", str(self.port), "--workers", str(self.web_processes))
        self._start("worker", "--probe-port", str(self.probe_port))
        self._start("scheduler")
        for part, port in (("serve", self.port), ("worker", self.probe_port)):
            self._await(part, port)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            end(process, signal.SIGTERM)

    def _environment(self, verb: str = "") -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "OSSATURE_VAR_DIR": str(self.folder / "var"),
            **self.environment,
            **self.of.get(verb, {}),
        }

    def _start(self, verb: str, *arguments: str) -> None:
        command = [sys.executable, *self.program, verb, *arguments, *self.arguments]
        log = (self.folder / f"{verb}.log").open("a")
        self.processes[verb] = subprocess.Popen(
            command, cwd=self.folder, env=self._environment(verb), stdout=log, stderr=subprocess.STDOUT, text=True
        )

    def _await(self, verb: str, port: int) -> None:
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit and self.processes[verb].poll() is None:
            try:
                if asked(port, "GET", "/ready", None, {})[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{verb} does not serve: {self.log(verb)[-3000:]}")


def announced(process: subprocess.Popen[str], log: Path) -> tuple[str, str]:
    """URL and first key of a product, as `up` writes them into its log."""
    limit = time.monotonic() + START_LIMIT_S
    found = None
    while found is None and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.1)
        found = re.search(r"ossature is up: (http://\S+).*?(oss_\w+)", log.read_text(), re.DOTALL)
    assert found, log.read_text()[-3000:]
    return found[1], found[2]


def asked(
    port: int, method: str, path: str, body: Any, headers: dict[str, str], *, time_limit_s: float = ANSWER_LIMIT_S
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request. Raises: OSError when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=time_limit_s)
    try:
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        # Lines of one name are one list: the cookies of an answer.
        found = {name.lower(): ", ".join(response.headers.get_all(name, [])) for name in response.headers}
        return response.status, found, response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """End a process in an orderly way, so that it takes its own children along; kill it if it does not."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


class Receiver:
    """Somebody who receives webhooks: a real HTTP server that remembers what came."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        """`127.0.0.1:port`."""
        return urlsplit(self.url).netloc

    @property
    def url(self) -> str:
        """Where to send."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()


def until(what: Callable[[], bool], why: str, *, limit_s: float = 60) -> None:
    """Return once it is so. why: what would have been, said when it is not so within the limit."""
    limit = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < limit, f"not so after {limit_s:g} s: {why}"
        time.sleep(0.1)
