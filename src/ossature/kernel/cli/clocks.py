"""`--clock`: the time that a whole tree of processes runs on."""

import hashlib
import os
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.errors import Misconfigured

REAL = "real"
ClockSpec = Annotated[str, typer.Option("--clock", help="real, or replay:START:SPEED (not in production).")]


class ClockRefused(Misconfigured):
    """The clock of `--clock` cannot be used."""

    title = "Clock refused"


def use_clock(spec: str, config: Config) -> None:
    """Run this process on the clock that `--clock` names. Raises: ClockRefused.

    Processes that are given the same replay and share `var_dir` share its time, whenever each of them starts.
    """
    if spec == REAL:
        clock.install(clock.SystemClock())
        return
    if config.main.profile == "production":
        raise ClockRefused("Production runs on real time.")
    try:
        clock.parse(spec)  # nothing is written down for a clock that is none
        clock.install(clock.parse(spec, begun_s=_begun_s(spec, config.main.var_dir / "run")))
    except ValueError as error:
        raise ClockRefused(str(error)) from error


def _begun_s(spec: str, folder: Path) -> float:
    """When this replay began (Unix time): now for the first process that asks, and the same for all others."""
    folder.mkdir(parents=True, exist_ok=True)
    agreed = folder / f"clock-{hashlib.sha256(spec.encode()).hexdigest()[:16]}"
    proposed = folder / f"clock-{uuid4().hex}"
    proposed.write_text(str(clock.SystemClock().now().timestamp()))
    try:
        os.link(proposed, agreed)  # whole or not at all: nobody reads half of it
    except FileExistsError:
        pass
    finally:
        proposed.unlink()
    return float(agreed.read_text())
