"""Runs are paused, resumed and cancelled; what a process left is taken up again, and nothing stays in between for ever."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ossature.contracts.sync import EmployeesChanged
from ossature.kernel import clock
from ossature.kernel.auth.policies import FourEyes
from ossature.kernel.context import Ctx
from ossature.kernel.db import lease
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.service import Job
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import open_house
from ossature.services.sync.domain.problems import OperationInDoubt, RunOver, TargetFailed, TargetLocked
from ossature.services.sync.domain.values import Connection, RunView
from ossature.services.sync.service import service
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store import pipelines
from ossature.services.sync.store.journal import Journal
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import pipelines as declaring
from ossature.services.sync.usecases import plan as planning
from ossature.services.sync.usecases import steering
from ossature.services.sync.usecases.pipelines import lock_name
from tests.services.sync.builders import PEOPLE
from tests.services.sync.conftest import Sync

ADA = "ada@example.org,Ada,Byron,oui,31/01/2026"
BEA = "bea@example.org,Bea,Stone,non,01/02/2026"


async def _opened(sync: Sync, *rows: str) -> RunView:
    """A run that nobody works on yet."""
    sync.people(*(rows or (ADA,)))
    view = await sync.plan()
    await sync.approve(view, creates=view.counts["create"])
    async with sync.ctx() as ctx:
        return await applying.open_run(ctx, view.sha256)


async def _now(sync: Sync, run: RunView) -> RunView:
    async with sync.ctx() as ctx:
        return await applying.found_run(ctx, run.id)


async def _worked(sync: Sync, run: RunView) -> RunView:
    async with sync.ctx() as ctx:
        return await applying.work_on(ctx, run.id)


async def _taken_up(sync: Sync) -> int:
    async with sync.home.house.occasion() as house:
        return await steering.take_up(house)


async def test_a_paused_run_writes_nothing_until_it_is_resumed(
    sync: Sync, http: httpx.AsyncClient, worker: Worker
) -> None:
    run = await _opened(sync)
    path = f"/v1/sync/runs/{run.id}"

    assert (await http.post(f"{path}/pause")).json()["wish"] == "pause"
    await worker.run_due()
    paused, written = await _now(sync, run), sync.there()
    assert (await http.post(f"{path}/resume")).json()["wish"] is None
    await worker.run_due()

    assert (paused.state, written) == ("paused", [])
    assert (await _now(sync, run)).state == "succeeded"
    assert len(sync.there()) == 1
    assert (await http.post(f"{path}/cancel")).json()["type"].endswith("/run-over")


async def test_a_cancelled_run_ends_and_its_plan_with_it(sync: Sync, worker: Worker) -> None:
    run = await _opened(sync)

    async with sync.ctx() as ctx:
        await steering.steer(ctx, run.id, "cancel")
    await worker.run_due()

    ended = await _now(sync, run)
    async with sync.ctx() as ctx:
        view = await planning.found(ctx, run.plan_sha256)
        with pytest.raises(RunOver):
            await steering.resume(ctx, run.id)
    assert (ended.state, dict(ended.counts), view.state, sync.there()) == ("cancelled", {"planned": 1}, "rejected", [])


async def test_what_is_in_doubt_is_known_before_a_run_is_cancelled(sync: Sync, worker: Worker) -> None:
    run = await _opened(sync, ADA, BEA)
    await sync.home.house.port(Journal).intend(sync.home.tenant.id, run.id, 1, fence=1)
    other = await _opened(sync, ADA, BEA)
    with pytest.raises(OperationInDoubt, match=str(run.id)):
        await _worked(sync, other)

    async with sync.ctx() as ctx:
        await steering.steer(ctx, run.id, "cancel")
    await worker.run_due()

    assert (await _now(sync, run)).state == "cancelled"
    assert (await _worked(sync, other)).state == "succeeded"
    assert len(sync.there()) == 2


async def test_a_run_that_its_process_left_is_taken_up_again(sync: Sync, worker: Worker) -> None:
    run = await _opened(sync)
    await sync.home.house.port(Journal).begin(sync.home.tenant.id, run.id, targets=["files"])

    taken = await _taken_up(sync)
    await worker.run_due()

    ended = await _now(sync, run)
    assert (taken, ended.state, ended.resumed_n) == (1, "succeeded", 1)
    assert await _taken_up(sync) == 0


async def test_a_run_that_somebody_works_on_is_left_to_them(sync: Sync) -> None:
    run = await _opened(sync)
    await sync.home.house.port(Journal).begin(sync.home.tenant.id, run.id, targets=["files"])

    async with lease.holding(sync.home.house.database, lock_name(sync.home.tenant.id, "files")):
        assert await _taken_up(sync) == 0
        with pytest.raises(TargetLocked):
            await _worked(sync, run)

    assert (await _now(sync, run)).state == "running"


async def test_a_run_that_was_left_too_often_stops_and_says_so(sync: Sync, worker: Worker) -> None:
    run = await _opened(sync)
    for _ in range(11):
        await sync.home.house.port(Journal).begin(sync.home.tenant.id, run.id, targets=["files"])

    await _taken_up(sync)
    await worker.run_due()

    stopped = await _now(sync, run)
    assert stopped.state == "paused"
    assert "resume it" in (stopped.problem or "")
    assert (await _worked(sync, run)).state == "succeeded"


async def test_a_run_that_nobody_began_is_taken_up_after_a_while(sync: Sync, worker: Worker) -> None:
    with clock.using(FakeClock()) as still:
        run = await _opened(sync)
        early = await _taken_up(sync)
        still.advance(300)
        late = await _taken_up(sync)
        await worker.run_due()

    assert (early, late) == (0, 1)
    assert (await _now(sync, run)).state == "succeeded"


async def test_a_run_whose_target_fails_is_paused_with_the_reason_and_can_go_on(sync: Sync) -> None:
    run = await _opened(sync)
    (sync.folder / "staff.csv").mkdir()

    with pytest.raises(TargetFailed):
        await _worked(sync, run)

    paused = await _now(sync, run)
    (sync.folder / "staff.csv").rmdir()
    assert (paused.state, "staff.csv" in (paused.problem or "")) == ("paused", True)
    again = await _worked(sync, run)
    assert (again.state, again.problem, again.resumed_n) == ("succeeded", None, 1)


async def test_a_run_whose_pipeline_is_gone_is_paused_with_the_reason(sync: Sync) -> None:
    run = await _opened(sync)
    async with sync.ctx() as ctx:
        await declaring.remove(ctx, "people")

    with pytest.raises(Exception, match="no pipeline"):
        await _worked(sync, run)

    assert (await _now(sync, run)).state == "paused"


async def test_a_locked_target_leaves_the_run_as_it_was(sync: Sync) -> None:
    run = await _opened(sync)

    async with lease.holding(sync.home.house.database, lock_name(sync.home.tenant.id, "files")):
        with pytest.raises(TargetLocked):
            await _worked(sync, run)

    assert (await _now(sync, run)).state == "queued"


async def test_two_eyes_are_not_four(database_url: str, tmp_path: Path) -> None:
    settings = SyncSettings(four_eyes=True)
    async with open_house(service, var_dir=tmp_path, database_url=database_url, settings=[settings]) as home:
        (tmp_path / "sync" / str(home.tenant.id)).mkdir(parents=True)
        sync = Sync(home, tmp_path / "sync" / str(home.tenant.id))
        async with sync.ctx() as ctx:
            one = Connection(name="files", kind="file", public={}, secrets={})
            await pipelines.save_connection(ctx.db, ctx.tenant.id, one)
        await sync.declare(PEOPLE)
        sync.people(ADA)
        async with sync.ctx() as ctx:
            author = planning.Author("ada", clock.new_id())
            view = await planning.make_plan(ctx, author=author)
        async with sync.ctx() as ctx:
            with pytest.raises(FourEyes):
                await planning.approve(ctx, view.sha256, allow={"creates": 1})
        own = await sync.plan()
        with pytest.raises(FourEyes):  # a command has no eyes of its own either
            await sync.approve(own, creates=1)
        async with home.client() as http:
            path = f"/v1/sync/plans/{own.sha256}/approve"
            assert (await http.post(path, json={"allow": {"creates": 1}})).status_code == 200


async def test_a_cancelled_run_tells_of_the_people_that_it_wrote(sqlite_url: str, tmp_path: Path) -> None:
    heard: list[EmployeesChanged] = []

    async def hear(ctx: Ctx, fact: EmployeesChanged) -> None:
        del ctx
        heard.append(fact)

    told = replace(service, listens={EmployeesChanged: [Job(name="sync.hear_people", run=hear)]})
    async with open_house(told, var_dir=tmp_path, database_url=sqlite_url) as home:
        (tmp_path / "sync" / str(home.tenant.id)).mkdir(parents=True)
        sync = Sync(home, tmp_path / "sync" / str(home.tenant.id))
        async with sync.ctx() as ctx:
            one = Connection(name="files", kind="file", public={}, secrets={})
            await pipelines.save_connection(ctx.db, ctx.tenant.id, one)
        await sync.declare(PEOPLE.replace('name = "people"', 'name = "people"\npublishes = "employees"'))
        run = await _opened(sync, ADA, BEA)
        kept = Journal(home.house.database)
        await kept.intend(home.tenant.id, run.id, 1, fence=1)
        await kept.settle(home.tenant.id, run.id, {1: {"state": "done", "evidence": "response"}}, [], fence=1)
        async with sync.ctx() as ctx:
            await steering.steer(ctx, run.id, "cancel")
        # Nobody is in doubt, so nobody has to answer for it: the file is not even there to be read.
        (sync.folder / "staff.csv").mkdir()

        for _ in range(3):
            await home.house.worker().run_due()

    assert [(fact.change, [one.email for one in fact.employees]) for fact in heard] == [
        ("created", ["ada@example.org"])
    ]
