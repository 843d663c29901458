"""What `ossature sync` ends with: each code, from each verb that knows it, seen by whoever started the process."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from ossature.kernel.audit import store as audit
from ossature.kernel.cli.main import run
from ossature.kernel.db import lease
from ossature.kernel.db.listing import ListQuery
from ossature.services.sync.service import service
from ossature.services.sync.store import journal
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases.pipelines import lock_name
from tests.services.sync.builders import PEOPLE
from tests.services.sync.conftest import Sync

ADA = "ada@example.org,Ada,Byron,oui,31/01/2026"
BEA = "bea@example.org,Bea,Stone,non,01/02/2026"
DONE, FAILED, WAITING, BLOCKED, PARTIAL, LOCKED = range(6)
TIME_LIMIT_S = 120

Start = Callable[..., subprocess.Popen[str]]
Said = tuple[int, str, str]
Call = Callable[..., Awaitable[Said]]


@pytest.fixture
def settings(sync: Sync, sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables with which a command finds the house of this test."""
    assert sync.home.house.database.embedded
    return {"OSSATURE_DATABASE_URL": sqlite_url, "OSSATURE_VAR_DIR": str(tmp_path)}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a command ends with does not depend on the database."""
    return sqlite_url


@pytest.fixture
def start(settings: dict[str, str]) -> Start:
    """Starts the command in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OSSATURE_")}

    def begin(*arguments: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ossature.app", "--json", "sync", *arguments]
        environ = {**kept, **settings, **more}
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return begin


@pytest.fixture
def call(
    settings: dict[str, str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Call]:
    """Runs the command in this process; its exit code, and what it said."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before, hook, handlers = structlog.get_config(), sys.excepthook, logging.getLogger().handlers[:]

    async def ask(*arguments: str) -> Said:
        capfd.readouterr()
        code = await asyncio.to_thread(run, lambda: (service,), ["--json", "sync", *arguments])
        return code, *capfd.readouterr()

    yield ask
    structlog.configure(**before)
    sys.excepthook = hook
    logging.getLogger().handlers[:] = handlers


async def test_whoever_started_the_process_sees_how_it_ended(sync: Sync, start: Start) -> None:
    async def ends(*arguments: str) -> int:
        process = start(*arguments)
        out, err = await asyncio.to_thread(process.communicate, timeout=TIME_LIMIT_S)
        if process.returncode in {BLOCKED, WAITING}:
            planned.append(json.loads(out)["plan"])
        assert "Traceback" not in err
        return process.returncode

    planned: list[str] = []
    sync.people(ADA, BEA)
    assert await ends("plan") == BLOCKED
    assert await ends("apply", planned[-1], "--allow", "creates=2") == DONE
    sync.people(ADA.replace("Byron", "King"), BEA.replace("Stone", "Rock"))
    assert await ends("plan") == WAITING
    async with lease.holding(sync.home.house.database, lock_name(sync.home.tenant.id, "files")):
        assert await ends("apply", planned[-1]) == LOCKED
    path = sync.folder / "staff.csv"
    path.write_text(path.read_text().replace("Bea Stone", "Bea Other"))
    assert await ends("apply", planned[-1]) == PARTIAL
    assert await ends("plan", "--nonsense") == FAILED


async def test_a_first_run_from_the_command_line(sync: Sync, call: Call) -> None:
    sync.people(ADA, BEA)

    planned = await call("plan", "people")
    sha256 = json.loads(planned[1])["plan"]

    assert planned[0] == BLOCKED
    assert (await call("show", sha256))[0] == BLOCKED
    refused = await call("apply", sha256)
    assert (refused[0], "too_many_creates" in refused[2]) == (BLOCKED, True)
    assert (await call("approve", sha256, "--allow", "creates=3"))[0] == FAILED
    assert (await call("approve", sha256, "--allow", "creates=2"))[0] == DONE
    assert (await call("show", sha256[:12]))[0] == WAITING
    assert (await call("apply", sha256))[0] == DONE
    assert (await call("apply", sha256))[0] == FAILED  # a plan is applied once
    assert (await call("plan"))[0] == DONE
    assert (await call("run", "all"))[0] == DONE
    assert len(sync.there()) == 2


async def test_a_night(sync: Sync, call: Call) -> None:
    sync.people(ADA, BEA)
    assert (await call("run"))[0] == BLOCKED
    await sync.first_run()

    sync.people(ADA, BEA.replace("Stone", "Rock"))
    assert (await call("plan"))[0] == WAITING
    assert (await call("run"))[0] == DONE
    (sync.folder / "people.csv").unlink()
    assert (await call("run"))[0] == FAILED
    assert (await call("plan"))[0] == FAILED


async def test_a_record_that_was_not_applied(sync: Sync, call: Call) -> None:
    sync.people(ADA, BEA)
    await sync.first_run()
    sync.people(ADA.replace("Byron", "King"), BEA.replace("Stone", "Rock"))
    view = await sync.plan()
    path = sync.folder / "staff.csv"
    path.write_text(path.read_text().replace("Bea Stone", "Bea Other"))

    code, out, _ = await call("apply", view.sha256)

    assert (code, json.loads(out)["counts"]) == (PARTIAL, {"done": 1, "stale": 1})


async def test_a_target_that_another_run_has(sync: Sync, call: Call) -> None:
    sync.people(ADA)
    view = await sync.plan()
    await sync.approve(view, creates=1)

    async with lease.holding(sync.home.house.database, lock_name(sync.home.tenant.id, "files")):
        codes = [(await call(*verb))[0] for verb in (("plan",), ("apply", view.sha256), ("run",))]

    assert codes == [LOCKED] * 3
    assert (await call("apply", view.sha256))[0] == DONE


@pytest.mark.parametrize(
    "wrong",
    [
        ["plan", "--nonsense"],
        ["nonsense"],
        ["pipelines", "nonsense"],
        ["apply"],
        ["apply", "--resume", "nonsense"],
        ["plan", "nobody"],
        ["show", "0123456789ab"],
    ],
)
async def test_a_wrong_call_is_an_error_and_no_waiting_change(call: Call, wrong: list[str]) -> None:
    assert (await call(*wrong))[0] == FAILED


async def test_what_is_tried_and_what_is_stale(sync: Sync, call: Call) -> None:
    assert (await call("pipelines", "check", "people"))[0] == FAILED
    sync.people(ADA)
    assert (await call("pipelines", "check", "people"))[0] == DONE
    assert (await call("status"))[0] == DONE
    assert (await call("status", "--check"))[0] == FAILED
    await sync.first_run()
    assert (await call("status", "--check"))[0] == DONE
    assert (await call("status", "--check", "--stale-after", "0"))[0] == FAILED


async def test_faults_of_a_file_are_named(call: Call, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(PEOPLE)
    bad.write_text(PEOPLE.replace("strip = true", "stripp = true"))

    assert (await call("pipelines", "validate", str(good)))[0] == DONE
    code, _, said = await call("pipelines", "save", str(bad))

    assert (code, "bad.toml:9: map.mail.stripp" in said and "did you mean 'strip'" in said) == (FAILED, True)


async def test_an_interrupted_run_stops_between_operations_and_goes_on_later(
    sync: Sync, start: Start, call: Call
) -> None:
    sync.people(ADA, BEA)
    view = await sync.plan()
    await sync.approve(view, creates=2)
    async with sync.ctx() as ctx:
        opened = await applying.open_run(ctx, view.sha256)

    async with lease.holding(sync.home.house.database, lock_name(sync.home.tenant.id, "files")):
        process = start("apply", "--resume", str(opened.id), OSSATURE_SYNC_LOCK_WAIT_S=str(TIME_LIMIT_S))
        await _until(lambda: _audited(sync, "sync.run_resume"))
        process.send_signal(signal.SIGINT)
        await _until(lambda: _wishes(sync, opened.id))
    out, _ = await asyncio.to_thread(process.communicate, timeout=TIME_LIMIT_S)

    assert (process.returncode, json.loads(out)["state"], sync.there()) == (PARTIAL, "paused", [])
    assert (await call("apply", "--resume", str(opened.id)))[0] == DONE
    assert len(sync.there()) == 2


async def _until(holds: Callable[[], Any]) -> None:
    limit = time.monotonic() + TIME_LIMIT_S
    while not await holds():
        assert time.monotonic() < limit
        await asyncio.sleep(0.05)


async def _audited(sync: Sync, action: str) -> bool:
    async with sync.ctx() as ctx:
        entries = (await audit.list_entries(ctx.db, ctx.tenant.id, ListQuery(limit=5))).items
    return any(entry.action == action for entry in entries)


async def _wishes(sync: Sync, run_id: UUID) -> bool:
    async with sync.ctx() as ctx:
        found = await journal.run(ctx.db, ctx.tenant.id, run_id)
    return found is not None and found.wish == "pause"
