"""kill -9 in the middle of predicting and freezing, and several processes at it: one official row, one chain."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ossature.kernel.db.listing import ListQuery
from ossature.services.predict.store import catalogue, predictions
from ossature.services.predict.usecases.freezing import freeze_due, verify_chain
from ossature.services.predict.usecases.pricing import price_matches
from tests.services.predict.conftest import MIDNIGHT, START, WEEK, Predict

AFTER = MIDNIGHT + timedelta(days=5)
"""When every match of the week has begun."""


_LIMIT_S = 240


class Rounds:
    """Processes that work on one database."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environ = {**os.environ, "OSSATURE_DATABASE_URL": url, "OSSATURE_VAR_DIR": str(folder)}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, work: str, where: str, at: datetime) -> None:
        """Start one, and wait until it is about to begin."""
        script = str(Path(__file__).with_name("kill_round.py"))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, script, work, where, at.isoformat()]
        process = subprocess.Popen(command, env=self._environ, text=True, **pipes)  # type: ignore[call-overload] # three pipes
        self._running.append(process)
        assert process.stdout is not None
        while line := process.stdout.readline():
            if line.strip() == "ready":
                return
        pytest.fail(process.communicate(timeout=_LIMIT_S)[1])

    def go(self) -> list[int]:
        """Have all that were started work at once; how they ended."""
        for process in self._running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        ends = [(process.communicate(timeout=_LIMIT_S)[1], process.returncode) for process in self._running]
        self._running = []
        for said, code in ends:
            assert code in {0, -signal.SIGKILL}, said
        return [code for _, code in ends]


@pytest.fixture
def rounds(database_url: str, tmp_path: Path) -> Rounds:
    return Rounds(database_url, tmp_path)


async def _prepared(predict: Predict) -> None:
    await predict.take(predict.before(START))
    await predict.take(predict.fixtures(*WEEK))


async def _require_one_official_row_each(predict: Predict) -> None:
    """Work once more as a restarted process does, and look at everything."""
    predict.move_to(MIDNIGHT)
    async with predict.ctx() as ctx:
        await price_matches(ctx)
    predict.move_to(AFTER)
    async with predict.ctx() as ctx:
        await freeze_due(ctx)
    async with predict.ctx() as ctx:
        found = await catalogue.list_matches(ctx.db, ctx.tenant.id, ListQuery(limit=50))
        ids = [one.id for one in found.items if one.day >= START]
        frozen = await predictions.freezes(ctx.db, ctx.tenant.id, ids)
        head = await predictions.hold(ctx.db, ctx.tenant.id)
        rows = await predictions.numbered(ctx.db, ctx.tenant.id, range(1, head.seq + 2))
        verdict = await verify_chain(ctx)
    assert Counter(one.match_id for one in frozen) == dict.fromkeys(ids, 1)
    assert Counter(one.match_id for one in rows.values()) == dict.fromkeys(ids, 1)
    assert (verdict.intact, verdict.checked, head.seq) == (True, 6, 6)


@pytest.mark.parametrize(("work", "where"), [("price", "after-append"), ("freeze", "after-freeze")])
async def test_a_round_that_is_killed_at_a_boundary_is_made_good(
    predict: Predict, rounds: Rounds, work: str, where: str
) -> None:
    await _prepared(predict)
    if work == "freeze":
        predict.move_to(MIDNIGHT)
        async with predict.ctx() as ctx:
            await price_matches(ctx)

    rounds.start(work, where, MIDNIGHT if work == "price" else AFTER)
    assert rounds.go() == [-signal.SIGKILL]

    await _require_one_official_row_each(predict)


async def test_rounds_that_are_killed_at_any_moment_are_made_good(predict: Predict, rounds: Rounds) -> None:
    await _prepared(predict)
    chance = random.Random()

    for work, at in (("price", MIDNIGHT), ("freeze", AFTER)):
        rounds.start(work, str(chance.randrange(1, 400)), at)
        rounds.go()

    await _require_one_official_row_each(predict)


async def test_processes_that_work_at_once_say_everything_once(predict: Predict, rounds: Rounds) -> None:
    await _prepared(predict)
    for work, at in (("price", MIDNIGHT), ("freeze", AFTER)):
        for _ in range(2):
            rounds.start(work, "nowhere", at)
        assert rounds.go() == [0, 0]

    await _require_one_official_row_each(predict)
