"""A run that is killed at any boundary of its journal is finished by the next process, and nothing is written twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ossature.kernel.db.listing import ListQuery
from ossature.services.sync.domain.values import RunView
from ossature.services.sync.store import journal
from ossature.services.sync.usecases import apply as applying
from tests.services.sync.conftest import Sync


def _killed(sync: Sync, database_url: str, tmp_path: Path, where: str, sha256: str) -> None:
    environ = {**os.environ, "OSSATURE_DATABASE_URL": database_url, "OSSATURE_VAR_DIR": str(tmp_path)}
    script = Path(__file__).with_name("kill_apply.py")
    command = [sys.executable, str(script), where, sha256]
    ended = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=240)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert sync.folder.exists()


async def _resumed(sync: Sync) -> RunView:
    async with sync.ctx() as ctx:
        (run,) = (await journal.list_runs(ctx.db, ctx.tenant.id, ListQuery())).items
        return await applying.work_on(ctx, run.id)


@pytest.mark.parametrize("where", ["before_intent", "after_intent", "after_answer", "after_result"])
async def test_a_killed_run_is_finished_and_nothing_is_written_twice(
    sync: Sync, database_url: str, tmp_path: Path, where: str
) -> None:
    sync.people(*(f"p{n}@example.org,P,{n},oui," for n in range(25)))
    view = await sync.plan()
    await sync.approve(view, creates=25)

    _killed(sync, database_url, tmp_path, where, view.sha256)
    run = await _resumed(sync)

    assert (run.state, dict(run.counts), run.resumed_n) == ("succeeded", {"done": 25}, 1)
    mails = [line.split(",")[0] for line in sync.there()]
    assert sorted(mails) == sorted(f"p{n}@example.org" for n in range(25))
    async with sync.ctx() as ctx:
        attempts = [one.attempt for one in await journal.ops(ctx.db, ctx.tenant.id, run.id)]
    assert sum(attempts) == (2 if where == "after_intent" else 1)
    assert (await sync.plan()).state == "empty"


async def test_one_operation_of_a_target_is_in_doubt_at_most(sync: Sync) -> None:
    sync.people("a@example.org,A,A,oui,", "b@example.org,B,B,oui,")
    view = await sync.plan()
    await sync.approve(view, creates=2)
    kept = sync.home.house.port(journal.Journal)
    async with sync.ctx() as ctx:
        run = await applying.open_run(ctx, view.sha256)

    await kept.intend(sync.home.tenant.id, run.id, 1, fence=1)

    with pytest.raises(Exception, match=r"(?i)unique"):
        await kept.intend(sync.home.tenant.id, run.id, 2, fence=1)
