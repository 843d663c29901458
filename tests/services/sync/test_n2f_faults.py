"""A write whose end nobody heard of is never sent again before the target was read: nothing twice, nothing lost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ossature.kernel.db.listing import ListQuery
from ossature.services.sync.domain.problems import TargetFailed
from ossature.services.sync.domain.values import RunView
from ossature.services.sync.store import journal, pipelines
from ossature.services.sync.usecases import apply as applying
from tests.services.sync.conftest import Sync
from tests.services.sync.expenses import USERS_HEADER, Expenses, n2f_connection

PEOPLE = [f"p{number}@example.org,P,{number},100,,,oui" for number in range(4)]
MAILS = [f"p{number}@example.org" for number in range(4)]
CUTS = ["slow", "reset", "half_body", "bad_json", "500", "503", "200_error"]


async def _planned(expenses: Sync) -> str:
    expenses.write("users.csv", USERS_HEADER, *PEOPLE)
    view = await expenses.plan()
    await expenses.approve(view, creates=len(PEOPLE))
    return view.sha256


async def _applied(expenses: Sync, sha256: str) -> RunView:
    async with expenses.ctx() as ctx:
        return await applying.work_on(ctx, (await applying.open_run(ctx, sha256)).id)


@pytest.mark.parametrize("carried_out", [True, False])
@pytest.mark.parametrize("fault", CUTS)
async def test_a_write_without_an_answer_is_read_back(
    expenses: Sync, n2f: Expenses, fault: str, carried_out: bool
) -> None:
    sha256 = await _planned(expenses)
    n2f.turn(drop_writes=0 if carried_out else 1, overlap="serialise")
    n2f.break_(fault, count=1, operation="n2f.write", ms=1500)

    run = await _applied(expenses, sha256)

    assert (run.state, dict(run.counts)) == ("succeeded", {"done": 4})
    assert sorted(n2f.users) == MAILS
    assert n2f.books.mails == [*MAILS]
    # What was carried out was not sent again; what was not, was sent once more.
    assert n2f.books.counts["writes_none"] == (0 if carried_out else 1)
    async with expenses.ctx() as ctx:
        ops = await journal.ops(ctx.db, ctx.tenant.id, run.id)
    assert sum(one.attempt for one in ops) == (4 if carried_out else 5)
    assert (await expenses.plan()).state == "empty"


async def test_what_is_seen_late_is_waited_for(expenses: Sync, n2f: Expenses) -> None:
    await _consistent_after(expenses, 30)
    n2f.turn(visibility_s=20)
    sha256 = await _planned(expenses)

    run = await _applied(expenses, sha256)

    assert (run.state, n2f.books.counts["writes_none"]) == ("succeeded", 0)


async def test_a_target_that_fails_for_long_pauses_the_run_which_goes_on_later(expenses: Sync, n2f: Expenses) -> None:
    sha256 = await _planned(expenses)
    n2f.break_("503")
    with pytest.raises(TargetFailed):
        await _applied(expenses, sha256)
    async with expenses.ctx() as ctx:
        (run,) = (await journal.list_runs(ctx.db, ctx.tenant.id, ListQuery())).items
    assert run.state == "paused"
    n2f.mend()

    ended = await _when_it_is_tried_again(expenses, sha256)

    assert (ended.state, dict(ended.counts), ended.id) == ("succeeded", {"done": 4}, run.id)
    assert sorted(n2f.users) == MAILS
    assert n2f.books.mails == MAILS


@pytest.mark.parametrize("where", ["before_intent", "after_intent", "before_answer", "after_answer", "after_result"])
async def test_a_run_that_is_killed_is_finished_and_nothing_is_written_twice(
    expenses_now: Sync, n2f: Expenses, sqlite_url: str, tmp_path: Path, where: str
) -> None:
    sha256 = await _planned(expenses_now)
    n2f.turn(overlap="serialise")

    _kill(n2f, sqlite_url, tmp_path, where, sha256)
    assert len(n2f.users) == (0 if where in {"before_intent", "after_intent"} else 1)
    run = await _applied(expenses_now, sha256)

    assert (run.state, dict(run.counts), run.resumed_n) == ("succeeded", {"done": 4}, 1)
    assert sorted(n2f.users) == MAILS
    assert (n2f.books.mails, n2f.books.counts["writes_none"]) == (MAILS, 0)
    assert (await expenses_now.plan()).state == "empty"


def _kill(n2f: Expenses, sqlite_url: str, tmp_path: Path, where: str, sha256: str) -> None:
    """Apply in a process of its own that dies at a boundary of the journal, or while N2F answers."""
    environ = {
        **os.environ,
        "OSSATURE_DATABASE_URL": sqlite_url,
        "OSSATURE_VAR_DIR": str(tmp_path),
        "OSSATURE_SYNC_SIM_URL": n2f.url,
        "OSSATURE_SYNC_SECRET_N2F_CLIENT_ID": "sim-n2f",
        "OSSATURE_SYNC_SECRET_N2F_CLIENT_SECRET": "sim-secret",
    }
    if where == "before_answer":
        n2f.break_("slow", count=1, ms=5000, operation="n2f.write")
    script = Path(__file__).with_name("kill_apply.py")
    child = subprocess.Popen(
        [sys.executable, str(script), where, sha256], env=environ, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < until:
        if where == "before_answer" and n2f.users:
            child.kill()
        time.sleep(0.01)
    _, said = child.communicate()
    assert child.returncode == -signal.SIGKILL, said


async def _consistent_after(expenses: Sync, seconds: int) -> None:
    async with expenses.ctx() as ctx:
        await pipelines.save_connection(ctx.db, ctx.tenant.id, n2f_connection(consistency_s=seconds))


async def _when_it_is_tried_again(expenses: Sync, sha256: str) -> RunView:
    """The breaker lets a first call through half a minute after it opened."""
    async with asyncio.timeout(90):
        while True:
            try:
                return await _applied(expenses, sha256)
            except TargetFailed:
                await asyncio.sleep(1)
