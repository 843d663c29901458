"""`ossature dispatch`: a file of bookings at a terminal, and what the verb ends with."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from ossature.kernel.cli.main import run
from ossature.kernel.testing.houses import open_house
from ossature.services.dispatch.service import service as dispatch
from ossature.services.hub.service import service as hub
from ossature.services.sync.service import service as sync
from tests.services.dispatch.days import a_booking, a_client

HEADING = "external_id;date;time;client_ref;from;to"
GOOD = "A-1;2031-03-03;09:15;C1;1 Station Road;2 Hospital Street"
FAULTY = "A-2;2031-03-03;09:15;nobody;1 Station Road;2 Hospital Street"

Verb = Callable[..., tuple[int, Any]]


async def _furnish(folder: Path, database_url: str) -> None:
    """A tenant with a client, and the addresses of the files on its map."""
    async with (
        open_house(hub, sync, dispatch, var_dir=folder, database_url=database_url) as home,
        home.client() as http,
    ):
        await a_booking(http, await a_client(http))


@pytest.fixture
def bookings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str, capfd: pytest.CaptureFixture[str]
) -> Iterator[Verb]:
    """Writes a file and calls the verb: exit code and answer."""
    asyncio.run(_furnish(tmp_path, sqlite_url))
    monkeypatch.chdir(tmp_path)
    for name in [one for one in os.environ if one.startswith("OSSATURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OSSATURE_DATABASE_URL", sqlite_url)
    before, hook, handlers = structlog.get_config(), sys.excepthook, logging.getLogger().handlers[:]

    def call(text: str, *options: str) -> tuple[int, Any]:
        (tmp_path / "monday.csv").write_text(text)
        capfd.readouterr()
        code = run((hub, sync, dispatch), ("--json", "dispatch", "import", "bookings", "monday.csv", *options))
        out, err = capfd.readouterr()
        return code, orjson.loads(out) if out else err

    yield call
    structlog.configure(**before)
    sys.excepthook = hook
    logging.getLogger().handlers[:] = handlers


def test_a_good_file_is_booked_once(bookings: Verb) -> None:
    text = f"{HEADING}\n{GOOD}\n"

    code, tried = bookings(text, "--dry-run")
    assert (code, tried["state"], tried["booked"], tried["problems"]) == (0, "checked", 0, [])
    code, done = bookings(text)
    assert (code, done["state"], done["booked"]) == (0, "applied", 1)
    code, again = bookings(text)
    assert (code, again["known"], again["booked"]) == (0, 1, 0)


def test_faulty_rows_are_named_and_end_with_one(bookings: Verb) -> None:
    text = f"{HEADING}\n{GOOD}\n{FAULTY}\n"

    code, refused = bookings(text)
    assert (code, refused["booked"], refused["faulty"]) == (1, 0, 1)
    assert [(fault["row"], fault["column"]) for fault in refused["problems"]] == [(3, "client_ref")]
    code, done = bookings(text, "--partial")
    assert (code, done["state"], done["booked"]) == (1, "applied", 1)


def test_what_is_no_table_ends_with_two(bookings: Verb) -> None:
    code, failed = bookings("no heading at all\n")

    assert (code, failed["state"]) == (2, "failed")
    assert {fault["code"] for fault in failed["problems"]} == {"unknown", "missing"}


def test_a_tenant_that_is_not_there_is_refused(bookings: Verb) -> None:
    code, said = bookings(f"{HEADING}\n{GOOD}\n", "--tenant", "nobody")

    assert code == 1
    assert "There is no such tenant" in said
