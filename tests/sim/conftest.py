"""One simulator on a free port for all tests here, reset before each."""

from collections.abc import Iterator

import pytest

from ossature.sim.app import create
from ossature.sim.clock import Clock
from ossature.sim.run import started
from tests.sim.caller import Caller


@pytest.fixture(scope="session")
def _running() -> Iterator[Caller]:
    with started(create(seed=7, clock=Clock(step=True))) as url:
        yield Caller(url)


@pytest.fixture
def sim(_running: Caller) -> Caller:
    """The simulator as it is at its start; the clock stands at 2026-06-15 12:00 UTC, a Monday."""
    assert _running.post("/_sim/reset").status == 204
    return _running
