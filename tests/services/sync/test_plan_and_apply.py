"""From one file to another: what is planned is shown, what is approved is written, what is written is proved."""

import asyncio
import os
from pathlib import Path

import pytest

from ossature.kernel import clock
from ossature.kernel.db import lease
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import open_house
from ossature.services.sync.domain.problems import (
    ApprovalMismatch,
    PlanApplied,
    PlanStale,
    PlanUnknown,
    ProfileUnknown,
    SourceFailed,
    SpillFailed,
    SyncBlocked,
    TargetFailed,
    TargetLocked,
)
from ossature.services.sync.domain.values import Connection, PlanView, RunView
from ossature.services.sync.service import service
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store import journal, pipelines, plans, state
from ossature.services.sync.store.journal import Journal
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import asking
from ossature.services.sync.usecases import plan as planning
from ossature.services.sync.usecases.demo import fill_demo
from ossature.services.sync.usecases.pipelines import lock_name
from tests.services.sync.builders import PEOPLE
from tests.services.sync.conftest import Sync

ADA = "Ada@example.org,Ada,Byron,oui,31/01/2026"
BEA = "bea@example.org,Bea,Stone,non,01/02/2026"
FILES = Connection(name="files", kind="file", public={}, secrets={})
CIS = "cis@example.org,Cis,Moor,oui,"


def written(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written, and not when it is read."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


async def test_the_first_plan_waits_for_somebody_who_says_its_number(sync: Sync) -> None:
    sync.people(ADA, BEA)

    view = await sync.plan()

    assert (view.state, dict(view.counts)) == ("blocked", {"create": 2})
    with pytest.raises(SyncBlocked, match="too_many_creates"):
        await sync.apply(view)
    with pytest.raises(ApprovalMismatch):
        await sync.approve(view, creates=3)
    await sync.approve(view, creates=2)
    run = await sync.apply(view)
    assert (run.state, dict(run.counts)) == ("succeeded", {"done": 2})
    assert sync.there() == ["ada@example.org,Ada Byron,true,2026-01-31", "bea@example.org,Bea Stone,false,2026-02-01"]


async def test_an_unchanged_night_writes_nothing(sync: Sync) -> None:
    sync.people(ADA, BEA)
    await sync.first_run()
    before = written(sync.folder / "staff.csv")

    view = await sync.plan()

    assert view.state == "empty"
    assert written(sync.folder / "staff.csv") == before


async def test_only_what_changed_is_written_and_other_columns_stay(sync: Sync) -> None:
    sync.people(ADA, BEA)
    await sync.first_run()
    path = sync.folder / "staff.csv"
    first, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{first},badge", *(f"{row},{n}" for n, row in enumerate(rows))]) + "\n")
    sync.people(ADA, BEA.replace("Stone", "Rock"), CIS)

    view = await sync.plan()
    run = await sync.apply(view)

    assert dict(view.counts) == {"create": 1, "update": 1}
    assert run.state == "succeeded"
    assert sync.there() == [
        "ada@example.org,Ada Byron,true,2026-01-31,0",
        "bea@example.org,Bea Rock,false,2026-02-01,1",
        "cis@example.org,Cis Moor,true,,",
    ]


async def test_a_plan_takes_no_more_memory_than_its_pipeline_allows(sync: Sync) -> None:
    await sync.declare(f"{PEOPLE}[limits]\nmemory_limit_mb = 16\n")
    sync.people(ADA, BEA)
    strangers = [f"p{n}@example.org,{'x' * 5_000},true," for n in range(3_600)]
    known = ["ada@example.org,Ada Byron,true,2026-01-31", "bea@example.org,Bea Rock,false,2026-02-01"]
    sync.write("staff.csv", "mail,name,active,since", *strangers, *known)

    view = await sync.plan()

    assert dict(view.counts) == {"adopt": 1, "update": 1}
    assert view.budget["left_alone"] == {"foreign": 3_600}
    spilled_to = sync.home.house.config.main.var_dir / "sync-spill"
    assert list(spilled_to.iterdir()) == []
    spilled_to.rmdir()
    spilled_to.write_text("no folder")
    with pytest.raises(SpillFailed, match="sync-spill"):
        await sync.plan()


async def test_a_source_that_cannot_be_read_is_never_an_empty_source(sync: Sync) -> None:
    sync.people(ADA, 'bea@example.org,"Bea')

    with pytest.raises(SourceFailed, match="after line"):
        await sync.plan()


@pytest.mark.parametrize("content", [b"", b"Mail,First\n1,2,3\n", "Mail\né\n".encode("latin-1")])
async def test_a_file_of_another_shape_is_refused(sync: Sync, content: bytes) -> None:
    (sync.folder / "people.csv").write_bytes(content)

    with pytest.raises(SourceFailed):
        await sync.plan()


async def test_an_empty_source_after_a_good_run_is_blocked(sync: Sync) -> None:
    sync.people(ADA, BEA)
    await sync.first_run()
    sync.people()

    view = await sync.plan()

    assert [guard["name"] for guard in view.guards] == ["source_empty"]


async def test_a_row_that_cannot_be_read_is_held_and_the_others_go_on(sync: Sync) -> None:
    rows = [f"p{n}@example.org,P,{n},oui," for n in range(30)]
    sync.people(*rows, "bad@example.org,Bad,Row,maybe,")

    view = await sync.plan()

    assert view.counts["create"] == 30
    assert view.budget["quarantined"] == 1


async def test_a_gone_record_goes_after_its_grace_and_only_if_it_is_ours(sync: Sync) -> None:
    await sync.declare(
        PEOPLE.replace('key = ["mail"]', 'key = ["mail"]\ndeletes = true\ndelete = { policy = "delete" }')
    )
    sync.people(ADA, BEA)
    await sync.first_run()
    path = sync.folder / "staff.csv"
    path.write_text(path.read_text() + "foreign@example.org,For Eign,true,\n")
    sync.people(ADA)

    first, second = await sync.plan(), await sync.plan()
    run = await sync.apply(second)

    assert (dict(first.counts), dict(second.counts)) == ({}, {"delete": 1})
    assert run.state == "succeeded"
    assert [line.split(",")[0] for line in sync.there()] == ["ada@example.org", "foreign@example.org"]


async def test_a_record_that_somebody_changed_since_the_plan_is_left_alone(sync: Sync) -> None:
    sync.people(ADA, BEA)
    await sync.first_run()
    sync.people(ADA.replace("Byron", "King"), BEA.replace("Stone", "Rock"))
    view = await sync.plan()
    path = sync.folder / "staff.csv"
    path.write_text(path.read_text().replace("Bea Stone", "Bea Other"))

    run = await sync.apply(view)

    assert (run.state, dict(run.counts)) == ("partial", {"done": 1, "stale": 1})
    assert [line.split(",")[1] for line in sync.there()] == ["Ada King", "Bea Other"]


async def test_what_is_there_already_is_taken_into_our_care_without_a_write(sync: Sync) -> None:
    sync.people(ADA)
    (sync.folder / "staff.csv").write_text("mail,name,active,since\nada@example.org,Ada Byron,true,2026-01-31\n")
    before = written(sync.folder / "staff.csv")

    view = await sync.plan()
    run = await sync.apply(view)

    assert dict(view.counts) == {"adopt": 1}
    assert run.state == "succeeded"
    assert written(sync.folder / "staff.csv") == before
    assert (await sync.plan()).state == "empty"


async def test_a_plan_is_applied_once(sync: Sync) -> None:
    sync.people(ADA)
    view = await sync.plan()
    await sync.approve(view, creates=1)
    await sync.apply(view)

    with pytest.raises(PlanApplied):
        await sync.apply(view)


async def test_a_plan_of_an_older_pipeline_is_stale(sync: Sync) -> None:
    sync.people(ADA)
    view = await sync.plan()
    await sync.approve(view, creates=1)
    await sync.declare(PEOPLE.replace('title = ""', "") + "# another text\n")

    with pytest.raises(PlanStale):
        await sync.apply(view)


async def test_a_target_is_for_one_at_a_time(sync: Sync) -> None:
    sync.people(ADA)
    database = sync.home.house.database

    async with lease.holding(database, lock_name(sync.home.tenant.id, "files")):
        with pytest.raises(TargetLocked):
            await sync.plan()

    assert (await sync.plan()).state == "blocked"


async def test_the_tenant_next_door_has_no_plan_of_this_name(sync: Sync) -> None:
    sync.people(ADA)
    view = await sync.plan()

    async with sync.home.house.occasion() as stranger:
        with pytest.raises(PlanUnknown):
            await planning.found(stranger, view.sha256)


async def test_the_demo_has_a_night_behind_it_and_a_plan_that_waits(sync: Sync) -> None:
    async with sync.ctx() as ctx:
        await pipelines.delete_pipeline(ctx.db, ctx.tenant.id, "people")

    for _ in range(2):
        async with sync.ctx() as ctx:
            await fill_demo(ctx)

    async with sync.ctx() as ctx:
        nights = (await journal.list_runs(ctx.db, ctx.tenant.id, ListQuery())).items
        made = (await plans.list_plans(ctx.db, ctx.tenant.id, ListQuery())).items
    assert [run.state for run in nights] == ["succeeded"]
    assert [(view.state, dict(view.counts)) for view in made] == [
        ("blocked", {"create": 1, "update": 30}),
        ("applied", {"create": 40}),
    ]


DELETING = PEOPLE.replace('key = ["mail"]', 'key = ["mail"]\ndeletes = true\ndelete = { policy = "delete" }')


async def test_a_record_that_came_back_begins_its_grace_anew(sync: Sync) -> None:
    await sync.declare(DELETING)
    sync.people(ADA, BEA)
    await sync.first_run()

    sync.people(ADA)
    first = await sync.plan()
    sync.people(ADA, BEA)
    await sync.plan()
    sync.people(ADA)
    again = await sync.plan()

    assert (dict(first.counts), dict(again.counts)) == ({}, {})
    assert dict((await sync.plan()).counts) == {"delete": 1}


async def test_a_read_that_is_in_doubt_counts_nobody_as_missing(sync: Sync) -> None:
    await sync.declare(DELETING)
    everybody = [f"p{n:02}@example.org,P,{n},oui," for n in range(25)]
    sync.people(*everybody)
    await sync.first_run()

    sync.people(*everybody[:5])
    shrunk = [await sync.plan() for _ in range(2)]
    sync.people(*everybody[:24])

    assert [[guard["name"] for guard in view.guards] for view in shrunk] == [["source_shrunk"]] * 2
    assert dict((await sync.plan()).counts) == {}
    assert dict((await sync.plan()).counts) == {"delete": 1}


BOSSES = PEOPLE.replace(
    "[compare]", 'boss = { ref = "Boss", lower = true }\n[compare]\nboss = { rule = ["ci", "null_as_empty"] }'
)


async def test_who_is_named_by_others_is_written_before_them_and_removed_after_them(sync: Sync) -> None:
    deleting = 'key = ["mail"]\ndeletes = true\ndelete = { policy = "delete", grace_reads = 1 }'
    await sync.declare(BOSSES.replace('key = ["mail"]', deleting))
    header = "Mail,First,Last,Active,Since,Boss"
    sync.people("a@x.org,A,A,oui,,b@x.org", "b@x.org,B,B,oui,,C@x.org", "c@x.org,C,C,oui,,", header=header)
    created = await _order(sync, await sync.plan())
    await sync.first_run()
    sync.people("d@x.org,D,D,oui,,d@x.org", header=header)
    view = await sync.plan()

    assert created == ["create c@x.org", "create b@x.org", "create a@x.org"]
    assert await _order(sync, view) == ["create d@x.org", "delete a@x.org", "delete b@x.org", "delete c@x.org"]


async def test_what_others_depend_on_is_removed_after_them(sync: Sync) -> None:
    deleting = PEOPLE.replace(
        'key = ["mail"]', 'key = ["mail"]\ndeletes = true\ndelete = { policy = "delete", grace_reads = 1 }'
    )
    badges = deleting.replace('"people"', '"badges"').replace('"staff"', '"badges"')
    await sync.declare(deleting)
    await sync.declare(badges.replace('key = ["mail"]', 'depends_on = ["people"]\nkey = ["mail"]'))
    sync.people(ADA, BEA)
    await sync.first_run()
    sync.people(ADA, CIS)

    view = await sync.plan()
    order = await _order(sync, view, with_pipeline=True)
    run = await sync.apply(view)

    assert order == [
        "people create cis@example.org",
        "badges create cis@example.org",
        "badges delete bea@example.org",
        "people delete bea@example.org",
    ]
    assert run.state == "succeeded"


async def _order(sync: Sync, view: PlanView, *, with_pipeline: bool = False) -> list[str]:
    """The operations of a plan, in words, in the order in which they are written."""
    async with sync.ctx() as ctx:
        made = await planning.opened(ctx, view)
    return [f"{one.pipeline} {one.op} {one.key}" if with_pipeline else f"{one.op} {one.key}" for one in made.operations]


OF_A_KIND = PEOPLE.replace(
    'key = ["mail"]', 'key = ["mail"]\nfilter = [{ column = "Kind", op = "eq", value = "P", on_excluded = "ignore" }]'
)
WITH_KIND = "Mail,First,Last,Active,Since,Kind"


async def test_an_ignored_row_of_the_same_key_changes_nothing(sync: Sync) -> None:
    await sync.declare(OF_A_KIND)
    sync.people(f"{ADA},P", f"{BEA},P", header=WITH_KIND)
    await sync.first_run()
    # Its number says nothing, its key is Ada's: it is of another kind, so nobody looks at the rest of it.
    sync.people("ada@example.org,A,Q,maybe,never,Q", f"{ADA},P", f"{BEA},Q", header=WITH_KIND)

    view = await sync.plan()

    assert (view.state, dict(view.counts), view.budget["quarantined"]) == ("empty", {}, 0)
    assert view.budget["left_alone"] == {}


async def test_a_row_that_can_be_read_and_one_that_cannot_are_one_key_twice(sync: Sync) -> None:
    sync.people(ADA)
    await sync.first_run()
    for rows in ((ADA, "ada@example.org,Ada,King,maybe,"), ("ada@example.org,Ada,King,maybe,", ADA)):
        sync.people(*rows, BEA, *(f"p{n}@example.org,P,{n},oui," for n in range(30)))

        view = await sync.plan()

        assert "duplicate_source_key" in [guard["name"] for guard in view.guards]
        assert view.counts == {"create": 31}


async def test_a_column_that_only_a_filter_reads_may_not_go_either(sync: Sync) -> None:
    await sync.declare(OF_A_KIND.replace('"ignore"', '"absent"'))
    sync.people(f"{ADA},P", f"{BEA},P", header=WITH_KIND)
    await sync.first_run()
    sync.people(ADA, BEA)

    view = await sync.plan()

    assert [guard["name"] for guard in view.guards] == ["schema_changed"]


async def test_a_profile_takes_what_it_says_and_an_unknown_one_nothing(sync: Sync) -> None:
    some = '[profile.dev]\nfilter = [{ column = "Last", op = "eq", value = "Stone" }]\n'
    await sync.declare(PEOPLE + some)
    sync.people(ADA, BEA)

    assert (await sync.plan(profile="dev")).counts == {"create": 1}
    assert (await sync.plan()).counts == {"create": 2}
    with pytest.raises(ProfileUnknown, match="did you mean 'dev'"):
        await sync.plan(profile="dve")


async def test_a_night_without_a_change_is_a_good_one(sync: Sync) -> None:
    still = FakeClock(clock.now())
    with clock.using(still):
        sync.people(ADA)
        await sync.first_run()
        still.advance(3600)
        assert (await sync.plan()).state == "empty"
        async with sync.ctx() as ctx:
            (one,) = (await asking.status(ctx)).pipelines

    assert (one.last_good_at, one.source_rows, one.target_rows) == (still.now(), 1, 1)


async def test_a_plan_that_was_rejected_meanwhile_is_not_begun(sync: Sync) -> None:
    sync.people(ADA)
    view = await sync.plan()
    await sync.approve(view, creates=1)
    async with sync.ctx() as ctx:
        approved = await planning.found(ctx, view.sha256)
        made = await planning.opened(ctx, approved)
        await planning.reject(ctx, view.sha256)

    with pytest.raises(PlanApplied):
        await Journal(sync.home.house.database).open(
            sync.home.tenant.id, approved, made.operations, targets={"people": "files"}, author="somebody"
        )

    async with sync.ctx() as ctx:
        assert (await journal.list_runs(ctx.db, ctx.tenant.id, ListQuery())).items == ()


async def test_two_that_begin_a_plan_at_once_have_one_run(sync: Sync) -> None:
    sync.people(ADA)
    view = await sync.plan()
    await sync.approve(view, creates=1)

    async def opened() -> RunView:
        async with sync.ctx() as ctx:
            return await applying.open_run(ctx, view.sha256)

    runs = await asyncio.gather(*(opened() for _ in range(4)))

    assert len({one.id for one in runs}) == 1


async def test_a_run_that_is_over_stays_over(sync: Sync) -> None:
    sync.people(ADA)
    run = await sync.first_run()
    async with sync.ctx() as ctx:
        view = await planning.found(ctx, run.plan_sha256)
    kept = Journal(sync.home.house.database)

    late = await kept.close(sync.home.tenant.id, run.id, view.id, state="paused", problem="It came too late.")

    assert (run.state, late.state, late.problem) == ("succeeded", "succeeded", None)


async def test_what_nobody_owns_any_more_is_not_missed(sync: Sync) -> None:
    async with sync.ctx() as ctx:
        await state.missed(ctx.db, ctx.tenant.id, "people", ["gone@example.org"])

    async with sync.ctx() as ctx:
        assert await state.owned_n(ctx.db, ctx.tenant.id, "people") == 0


@pytest.mark.parametrize("content", ["Mail,First,Last,Active,Since,First\n", "a pipe"])
async def test_a_source_that_means_two_things_or_never_ends_is_refused(sync: Sync, content: str) -> None:
    path = sync.folder / "people.csv"
    if content == "a pipe":
        os.mkfifo(path)
    else:
        path.write_text(content)

    with pytest.raises(SourceFailed):
        await sync.plan()


async def test_a_target_file_with_a_cell_too_many_is_not_written_over(sync: Sync) -> None:
    path = sync.folder / "staff.csv"
    path.write_text("mail,name,active,since\nada@example.org,Ada,true,2026-01-31,what is this\n")
    sync.people(ADA)

    with pytest.raises(TargetFailed, match="5 cells"):
        await sync.plan()


async def test_nothing_is_held_open_while_a_plan_waits(database_url: str, tmp_path: Path) -> None:
    """A plan may wait for its target, or read for an hour: meanwhile its connection is for others."""
    settings = [SyncSettings(lock_wait_s=60)]
    async with open_house(service, var_dir=tmp_path, database_url=database_url, settings=settings) as home:
        sync = Sync(home, tmp_path)
        async with sync.ctx() as ctx:
            await pipelines.save_connection(ctx.db, ctx.tenant.id, FILES)
        await sync.declare(PEOPLE)
        database = home.house.database
        async with lease.holding(database, lock_name(home.tenant.id, "files"), lasts_s=300), sync.ctx() as ctx:
            waiting = asyncio.create_task(planning.make_plan(ctx))
            async with asyncio.timeout(30):
                while ctx.db.statistics.count < 3 or database.in_use:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.01)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
