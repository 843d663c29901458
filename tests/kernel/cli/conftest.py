import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import structlog

from ossature.kernel.cli.main import run


@dataclass
class Said:
    """What one call of the command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return orjson.loads(self.out)


Ossature = Callable[..., Said]


@pytest.fixture
def ossature(capfd: pytest.CaptureFixture[str]) -> Iterator[Ossature]:
    """The command, without services of the product."""
    before, hook, handlers = structlog.get_config(), sys.excepthook, logging.getLogger().handlers[:]

    def call(*arguments: str) -> Said:
        capfd.readouterr()
        code = run((), arguments)
        return Said(code, *capfd.readouterr())

    yield call
    structlog.configure(**before)
    sys.excepthook = hook
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str) -> Path:
    """An empty working directory, no setting of whoever runs the tests, and a database with every table."""
    monkeypatch.chdir(tmp_path)
    for name in [one for one in os.environ if one.startswith("OSSATURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OSSATURE_DATABASE_URL", sqlite_url)
    return tmp_path
