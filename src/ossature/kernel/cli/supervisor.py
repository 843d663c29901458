"""The parent of the web processes: starts them on one socket, replaces those that die, restarts them one by one."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

import structlog

from ossature.kernel.config import MainSettings, environment_of_child
from ossature.kernel.errors import Misconfigured
from ossature.kernel.observe import multiprocess

log = structlog.get_logger()

BACKLOG = 2048
POLL_S = 0.2
# A child that dies younger than this is not replaced at once: a mistake in the settings must not burn the machine.
YOUNG_S = 5.0
CALM_DOWN_S = 2.0
STOP_LIMIT_S = 60.0
READY_LIMIT_S = 30.0
READY = b"ready\n"


class PortTaken(Misconfigured):
    """Another program listens on the address, or this user may not."""

    title = "Port taken"


class Child:
    """One web process. It writes to a pipe once it serves."""

    def __init__(self, command: Sequence[str], listening: socket.socket, environment: Mapping[str, str]) -> None:
        self.started = time.monotonic()
        self.is_ready = False
        self._news, tell = os.pipe()
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, f"--fd={listening.fileno()}", f"--ready-fd={tell}"],
            pass_fds=[listening.fileno(), tell],
            env=dict(environment),
        )
        os.close(tell)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_ready(self) -> bool:
        """Whether it serves, within the time limit; False when it died before."""
        limit = time.monotonic() + READY_LIMIT_S
        while not self.is_ready and self.exit_code() is None and time.monotonic() < limit:
            if select.select([self._news], [], [], POLL_S)[0]:
                self.is_ready = os.read(self._news, len(READY)) == READY
                if not self.is_ready:
                    break
        return self.is_ready

    def exit_code(self) -> int | None:
        """How it ended, or None."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.exit_code() is None:
            self._process.send_signal(number)

    def end(self, limit_s: float) -> None:
        """Have it drain and end; kill it if it takes longer than allowed."""
        self.send(signal.SIGTERM)
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            log.warning("supervisor.killed", pid=self.pid)
            self._process.kill()
            self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close what was kept open for it."""
        if self._news >= 0:
            os.close(self._news)
            self._news = -1


class _Wishes:
    """What signals asked for since the last look."""

    def __init__(self) -> None:
        self.stop = False
        self.restart = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._restart)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop = True

    def _restart(self, _number: int, _frame: FrameType | None) -> None:
        self.restart = True


def supervise(command: Sequence[str], *, listening: socket.socket, count: int, metrics_dir: Path) -> None:
    """Keep `count` processes serving until SIGTERM. The socket stays open all the time, so no connection is refused.

    command: starts one; it is also given `--fd` (the socket) and `--ready-fd` (where it says that it serves).
    """
    multiprocess.prepare(metrics_dir)
    variables = {multiprocess.VARIABLE: str(metrics_dir), MainSettings.variable("workers"): str(count)}
    start = partial(Child, command, listening, environment_of_child(**variables))
    wishes = _Wishes()
    children = [start() for _ in range(count)]
    log.info("supervisor.started", pids=[child.pid for child in children])
    while not wishes.stop:
        time.sleep(POLL_S)
        for place, child in enumerate(children):
            if child.exit_code() is not None and not wishes.stop:
                log.warning("supervisor.child_died", pid=child.pid, exit_code=child.exit_code())
                child.forget()
                multiprocess.fold(metrics_dir, child.pid)
                if time.monotonic() - child.started < YOUNG_S:
                    time.sleep(CALM_DOWN_S)
                children[place] = start()
        if wishes.restart:
            wishes.restart = False
            _roll(children, start, metrics_dir=metrics_dir, wishes=wishes)
    for child in children:
        child.send(signal.SIGTERM)
    limit = time.monotonic() + STOP_LIMIT_S  # for all of them together: they drain at the same time
    for child in children:
        child.end(max(0.0, limit - time.monotonic()))
    listening.close()
    multiprocess.remove(metrics_dir)
    log.info("supervisor.stopped")


def _roll(
    children: list[Child],
    start: Callable[[], Child],
    *,
    metrics_dir: Path,
    wishes: _Wishes,
) -> None:
    """Replace one process after the other; each old one ends only when its successor serves."""
    for place, old in enumerate(list(children)):
        if wishes.stop:
            return
        new = start()
        if not new.wait_until_ready():
            log.error("supervisor.restart_failed", pid=new.pid, detail="The old processes go on serving.")
            new.end(CALM_DOWN_S)
            return
        children[place] = new
        old.end(STOP_LIMIT_S)
        multiprocess.fold(metrics_dir, old.pid)
        log.info("supervisor.replaced", old=old.pid, new=new.pid)
