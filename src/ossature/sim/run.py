"""Running the simulator: `serve()` in the foreground, `started()` beside a test, `main()` from the command line."""

import argparse
import contextlib
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson
import uvicorn

from ossature.sim.app import Simulator, create
from ossature.sim.clock import Clock
from ossature.sim.expenses import agresso
from ossature.sim.faults import FaultError
from ossature.sim.lab import KeptError, UnknownProviderError
from ossature.sim.limits import LimitError
from ossature.sim.server import BreakableProtocol
from ossature.sim.wire import Json

OK, BAD_FILE, PORT_TAKEN = 0, 2, 3
DEFAULT_PORT = 9900
_START_LIMIT_S = 10.0
_STOP_LIMIT_S = 5.0


class FileError(ValueError):
    """A limits or faults file cannot be used."""


def _read(path: Path) -> Json:
    """Return what the JSON or TOML file holds. Raises: FileError."""
    try:
        text = path.read_text("utf-8")
        value: Json = tomllib.loads(text) if path.suffix == ".toml" else orjson.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, orjson.JSONDecodeError) as wrong:
        raise FileError(f"{path}: {wrong}") from None
    return value


def _limits(path: Path) -> Mapping[str, list[str]]:
    value = _read(path)
    if not isinstance(value, dict) or not all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in value.values()
    ):
        raise FileError(f'{path}: must hold one list of texts per provider, such as open_meteo = ["600/minute"].')
    return value


def _faults(path: Path) -> list[Any]:
    value = _read(path)
    # TOML has no list at the top: there the faults are [[faults]] tables.
    faults = value.get("faults") if isinstance(value, dict) else value
    if not isinstance(faults, list):
        raise FileError(f"{path}: must hold a list of faults (in TOML: [[faults]] tables).")
    return faults


def load(
    *,
    seed: int = 0,
    limits: Path | None = None,
    faults: Path | None = None,
    clock: Literal["REAL", "STEP"] = "REAL",
    kept_in: Path | None = None,
    knobs: Sequence[str] = (),
) -> Simulator:
    """Return the simulator with the limits and faults of these files (JSON or TOML).

    knobs: orders to what providers remember, such as `n2f.names_order=reversed`. Raises: FileError.
    """
    try:
        made = create(
            seed=seed,
            limits=_limits(limits) if limits else None,
            faults=_faults(faults) if faults else (),
            clock=Clock(step=clock == "STEP"),
            kept_in=kept_in,
        )
        for knob in knobs:
            _turn(made, knob)
    except UnknownProviderError as unknown:
        raise FileError(f"{limits}: there is no simulated provider {unknown.args[0]!r}.") from None
    except LimitError as wrong:
        raise FileError(f"{limits}: {wrong}") from None
    except FaultError as wrong:
        raise FileError(f"{faults}: {wrong}") from None
    except KeptError as wrong:
        raise FileError(str(wrong)) from None
    return made


def _turn(simulator: Simulator, knob: str) -> None:
    provider, _, order = knob.partition(".")
    name, _, position = order.partition("=")
    site = simulator.lab.sites.get(provider)
    if site is None or site.state is None:
        raise FileError(f"{knob}: {provider!r} has no knobs.")
    try:
        site.state.order("knobs", {name: position}, simulator.lab.clock.now())
    except ValueError as wrong:
        raise FileError(f"{knob}: {wrong}") from None


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(app: Simulator) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=BreakableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def serve(app: Simulator, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT, fd: int | None = None) -> int:
    """Serve until interrupted, in the main thread; prints one line with the URL. Returns the exit code: 0, 3 = port taken.

    port: 0 = any free one. fd: a socket that listens already and is inherited; then host and port say nothing.
    """
    try:
        listener = socket.socket(fileno=fd) if fd is not None else _bind(host, port)
    except OSError as taken:
        sys.stderr.write(f"Cannot listen on {host}:{port}: {taken.strerror}.\n")
        return PORT_TAKEN
    sys.stdout.write(f"Simulator of {len(app.lab.sites)} providers, seed {app.lab.seed}: {_url(listener)}\n")
    sys.stdout.flush()
    # The server drains on both signals and then raises the one it got again: let both be the same clean end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _server(app).run(sockets=[listener])
    finally:
        listener.close()
    return OK


@contextlib.contextmanager
def started(app: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread while the block runs; gives the base URL. Raises: OSError when the port is taken."""
    listener = _bind(host, port)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="ossature-sim", daemon=True)
    thread.start()
    try:
        # The listener exists already: callers that come before the loop turns wait in its backlog.
        yield _url(listener)
    finally:
        deadline_s = time.monotonic() + _START_LIMIT_S
        while not server.started and thread.is_alive() and time.monotonic() < deadline_s:
            time.sleep(0.005)
        server.should_exit = True
        thread.join(_STOP_LIMIT_S)
        listener.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator as the command line says. Returns the exit code: 0, 2 for a bad file, 3 for a taken port."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["agresso"]:
        return _agresso(given[1:])
    parser = argparse.ArgumentParser(
        prog="ossature sim",
        description="A local simulator of outside providers.",
        epilog="`ossature sim agresso --out FILE` writes a database like Agresso's instead.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 = any free port")
    parser.add_argument("--fd", type=int, help="a listening socket to inherit, instead of host and port")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another world")
    parser.add_argument("--limits", type=Path, help="JSON or TOML: limits that replace the providers' own")
    parser.add_argument("--faults", type=Path, help="JSON or TOML: faults in force from the start")
    parser.add_argument("--clock", choices=("REAL", "STEP"), default="REAL", help="STEP: time moves only when told to")
    parser.add_argument("--keep", type=Path, help="a file in which what upstreams remember outlives this process")
    parser.add_argument("--knob", action="append", default=[], help="n2f.names_order=reversed, and the like")
    parser.add_argument("--until-eof", action="store_true", help="end with whoever holds the other end of stdin")
    options = parser.parse_args(given)
    try:
        app = load(
            seed=options.seed,
            limits=options.limits,
            faults=options.faults,
            clock=options.clock,
            kept_in=options.keep,
            knobs=options.knob,
        )
    except FileError as bad:
        sys.stderr.write(f"{bad}\n")
        return BAD_FILE
    if options.until_eof:
        threading.Thread(target=_end_at_eof, name="ossature-sim-eof", daemon=True).start()
    return serve(app, host=options.host, port=options.port, fd=options.fd)


def _agresso(arguments: Sequence[str]) -> int:
    """Write a database of people and axes. Returns the exit code: 0, 2 when it cannot be written."""
    parser = argparse.ArgumentParser(prog="ossature sim agresso", description="A database like Agresso's, in SQLite.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="other people")
    parser.add_argument("--dirty", action="store_true", help="with rows that nobody should have written")
    options = parser.parse_args(arguments)
    try:
        people, values = agresso.write(options.out, users=max(1, options.users), seed=options.seed, dirty=options.dirty)
    except (OSError, sqlite3.Error) as wrong:
        sys.stderr.write(f"{options.out}: {wrong}\n")
        return BAD_FILE
    sys.stdout.write(f"{options.out}: {people} people, {values} values of axes.\n")
    return OK


def _end_at_eof() -> None:
    # Not by the buffered reader: its lock, held here, would make the interpreter abort when it ends for another reason.
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
