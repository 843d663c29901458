"""N2F as a target, against the simulated one: what is planned is written, nothing else, and at its pace."""

from typing import Any

import pytest

from ossature.kernel.db.listing import ListQuery
from ossature.services.sync.domain.mapping import RowRefused
from ossature.services.sync.domain.problems import PipelineInvalid, TargetCredentialRefused, TargetFailed
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.providers.n2f_checks import check_user
from ossature.services.sync.store import journal, pipelines, plans
from ossature.services.sync.usecases.demo import fill_demo
from tests.services.sync.conftest import Sync
from tests.services.sync.expenses import AXES_HEADER, PROJECTS, USERS, USERS_HEADER, Expenses, SharedClock

ADA = "Ada@example.org,Ada,Byron,100,Utilisateur,Clerk,oui"
BEA = "bea@example.org,Bea,Stone,200,,,non"


def _users(expenses: Sync, *rows: str) -> None:
    expenses.write("users.csv", USERS_HEADER, *rows)


def _many(n: int, *, job: str = "Clerk") -> list[str]:
    return [f"p{number:03}@example.org,P,{number},100,,{job},oui" for number in range(n)]


def _people(n: int) -> list[dict[str, Any]]:
    """The same people as N2F holds them."""
    common = {"firstname": "P", "company": "MTAwMQ==", "jobTitle": "Clerk", "canRaiseLimits": True}
    return [{"mail": f"p{number:03}@example.org", "lastname": str(number), **common} for number in range(n)]


async def test_users_are_created_whole_and_the_next_night_writes_nothing(expenses: Sync, n2f: Expenses) -> None:
    _users(expenses, ADA, BEA)

    run = await expenses.first_run()
    again = await expenses.plan()

    assert (run.state, dict(run.counts)) == ("succeeded", {"done": 2})
    assert n2f.users["ada@example.org"] == {
        "mail": "ada@example.org",
        "firstname": "Ada",
        "lastname": "Byron",
        "company": "MTAwMQ==",
        "role": n2f.books.roles[0]["uuid"],
        "jobTitle": "Clerk",
        "canRaiseLimits": True,
    }
    assert again.state == "empty"
    assert (n2f.writes, n2f.books.mails) == (2, ["ada@example.org", "bea@example.org"])
    assert n2f.books.counts["overlaps"] == 0


async def test_a_change_is_one_write_and_what_n2f_has_beside_our_fields_stays(expenses: Sync, n2f: Expenses) -> None:
    n2f.turn(omitted="blank")
    _users(expenses, ADA, BEA)
    await expenses.first_run()
    n2f.books.users["ada@example.org"].value |= {"structure": "L3", "culture": "fr"}  # type: ignore[operator] # she is there
    writes = n2f.writes

    _users(expenses, ADA.replace("Clerk", "Head"), BEA)
    run = await expenses.apply(await expenses.plan())

    assert run.state == "succeeded"
    assert n2f.writes == writes + 1
    ada = n2f.users["ada@example.org"]
    assert (ada["jobTitle"], ada["structure"], ada["culture"]) == ("Head", "L3", "fr")


async def test_values_of_an_axis_are_kept_apart_by_company(expenses: Sync, n2f: Expenses) -> None:
    await expenses.declare(PROJECTS)
    _users(expenses, ADA)
    rows = ("100,P/1 é%,Bridge,01/02/2026,31/12/2099", "200,P/1 é%,Tunnel,,30/06/2026")
    expenses.write("axes.csv", AXES_HEADER, *rows)

    view = await expenses.plan(names=["projects"])
    await expenses.approve(view, creates=2)
    run = await expenses.apply(view)

    assert run.state == "succeeded"
    assert n2f.values(company=0)["P/1 é%"] == {
        "code": "P/1 é%",
        "names": [{"culture": "fr", "value": "Bridge"}, {"culture": "nl", "value": "Bridge"}],
        "validityDateFrom": "2026-02-01T00:00:00Z",
        "validityDateTo": None,
    }
    assert n2f.values(company=1)["P/1 é%"]["validityDateTo"] == "2026-06-30T00:00:00Z"
    assert (await expenses.plan(names=["projects"])).state == "empty"


async def test_a_custom_axis_is_found_by_its_french_name_in_each_company(expenses: Sync, n2f: Expenses) -> None:
    await expenses.declare(PROJECTS.replace('axis = "projects"', 'axis = "plaque"'))
    expenses.write("axes.csv", AXES_HEADER, "100,A-1,Van,,", "300,A-1,Car,,")

    view = await expenses.plan(names=["projects"])
    await expenses.approve(view, creates=2)
    await expenses.apply(view)

    for company, name in ((0, "Van"), (2, "Car")):
        axis = n2f.books.axes(n2f.books.companies[company]["uuid"])[0]["uuid"]
        assert n2f.values(axis, company)["A-1"]["names"][0]["value"] == name


async def test_gone_records_are_deleted_by_their_quoted_key(expenses: Sync, n2f: Expenses) -> None:
    deleting = 'key = ["company", "code"]\ndeletes = true\ndelete = { policy = "delete", grace_reads = 1 }'
    await expenses.declare(PROJECTS.replace('key = ["company", "code"]', deleting))
    rows = [f"100,P/{n} é%,Bridge,," for n in range(20)]
    expenses.write("axes.csv", AXES_HEADER, *rows)
    view = await expenses.plan(names=["projects"])
    await expenses.approve(view, creates=20)
    await expenses.apply(view)
    expenses.write("axes.csv", AXES_HEADER, *rows[:-1])

    run = await expenses.apply(await expenses.plan(names=["projects"]))

    assert (run.state, dict(run.counts)) == ("succeeded", {"done": 1})
    assert len(n2f.values()) == 19
    assert n2f.books.counts["writes_deleted"] == 1


@pytest.mark.parametrize(
    "knobs",
    [
        {"names_order": "reversed", "date_echo": "none", "blank_echo": "empty", "label_language": "en"},
        {"names_order": "alphabetical", "date_echo": "offset", "blank_echo": "missing", "label_language": "nl"},
        {"names_order": "extra_culture", "date_echo": "7_digits", "mail_case": "title", "page_end": "absent"},
        {"mail_case": "lower", "echo": "without_write_only", "page_order": "alphabetical", "normalise": "trim"},
        {"omitted": "blank", "quota_count": "fixed", "over_quota": "503", "overlap": "429", "token_life_s": 5},
        {"error_body": "html", "over_quota": "429_bare", "expired": "403", "token_life_s": 90},
    ],
    ids=lambda knobs: "-".join(knobs.values()) if all(isinstance(v, str) for v in knobs.values()) else "life",
)
async def test_however_n2f_says_it_the_second_night_writes_nothing(
    expenses: Sync, n2f: Expenses, knobs: dict[str, Any]
) -> None:
    n2f.turn(**knobs)
    await expenses.declare(PROJECTS)
    _users(expenses, ADA, BEA)
    expenses.write("axes.csv", AXES_HEADER, "100,P1,Bridge,01/02/2026,31/12/2099", "200,P1,Tunnel,,30/06/2026")
    view = await expenses.plan()
    await expenses.approve(view, creates=4)

    run = await expenses.apply(view)
    again = await expenses.plan()

    assert (run.state, dict(run.counts)) == ("succeeded", {"done": 4})
    assert again.state == "empty"
    assert n2f.writes == 4
    assert n2f.books.counts["writes_none"] == 0


async def test_a_row_with_an_unknown_company_or_role_is_held_alone(expenses: Sync, n2f: Expenses) -> None:
    odd = ("c@example.org,C,C,999,,,oui", "d@example.org,D,D,100,Roi,,oui")
    _users(expenses, *_many(30), *odd)

    view = await expenses.plan()

    assert (view.counts["create"], view.budget["quarantined"]) == (30, 2)
    assert n2f.writes == 0


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("not-a-mail,C,C,100,,,oui", "mail"),
        ("c@nowhere,C,C,100,,,oui", "mail"),
        ("c@example.org,,C,100,,,oui", "firstname"),
        (f"c@example.org,C,{'x' * 256},100,,,oui", "lastname"),
    ],
)
async def test_what_n2f_would_not_take_is_held_in_the_plan_already(expenses: Sync, row: str, field: str) -> None:
    _users(expenses, *_many(30), row)

    view = await expenses.plan()

    assert (view.counts["create"], view.budget["quarantined"]) == (30, 1)
    with pytest.raises(RowRefused) as refused:
        check_user(dict(zip(("mail", "firstname", "lastname"), row.split(","), strict=False)) | {"company": "x"})
    assert refused.value.field == field


async def test_a_value_that_ends_before_it_begins_is_held(expenses: Sync) -> None:
    await expenses.declare(PROJECTS)
    rows = [f"100,P{number},Bridge,," for number in range(30)]
    expenses.write("axes.csv", AXES_HEADER, *rows, "100,X,Bridge,01/02/2026,31/01/2026", "100,Y,,,")

    view = await expenses.plan(names=["projects"])

    assert (view.counts["create"], view.budget["quarantined"]) == (30, 2)


async def test_a_record_that_n2f_does_not_accept_fails_alone(expenses: Sync, n2f: Expenses) -> None:
    n2f.turn(reject="^bea", error_body="html")
    _users(expenses, ADA, BEA)
    view = await expenses.plan()
    await expenses.approve(view, creates=2)

    run = await expenses.apply(view)

    assert (run.state, dict(run.counts)) == ("partial", {"done": 1, "failed": 1})
    async with expenses.ctx() as ctx:
        failed = [one for one in await journal.ops(ctx.db, ctx.tenant.id, run.id) if one.state == "failed"]
    assert [(one.key, "400" in (one.problem or "")) for one in failed] == [("bea@example.org", True)]


async def test_an_unchanged_night_costs_one_token_and_the_reads_of_the_formula(expenses: Sync, n2f: Expenses) -> None:
    n2f.books.order(
        "records", {"users": [{**each, "role": n2f.books.roles[0]["uuid"]} for each in _people(450)]}, n2f.clock.now()
    )
    _users(expenses, *_many(450))
    await expenses.apply(await expenses.plan())
    reads, writes = n2f.calls("read"), n2f.calls("write")

    view = await expenses.plan()

    assert view.state == "empty"
    # Three pages, and the first once more; sets are known, the token is still good.
    assert (n2f.calls("read") - reads, n2f.calls("write") - writes) == (4, 0)
    assert (writes, n2f.writes) == (1, 0)


@pytest.mark.parametrize("knobs", [{"page_order": "random"}, {"page_shift": 1}, {"page_order": "first_again"}])
async def test_pages_that_shift_are_no_collection(expenses: Sync, n2f: Expenses, knobs: dict[str, Any]) -> None:
    n2f.books.order("records", {"users": _people(450)}, n2f.clock.now())
    n2f.turn(**knobs)
    _users(expenses, *_many(450))

    with pytest.raises(TargetFailed, match="shift"):
        await expenses.plan()


async def test_the_pace_of_the_day_is_never_passed(expenses: Sync, n2f: Expenses, noon: SharedClock) -> None:
    _users(expenses, *_many(45))

    run = await expenses.first_run()

    assert run.state == "succeeded"
    assert _busiest(n2f, "write") <= 10
    assert n2f.books.counts["status_429"] == 0
    # 46 writes with the one for the token: four waits for a window of 61 s.
    assert 4 * 61 <= noon.slept_s <= 4 * 61 + 45


@pytest.mark.parametrize("minutes_before", [3, 1])
@pytest.mark.parametrize("hour_utc", [4, 18])
async def test_no_boundary_of_day_and_night_is_overrun(
    expenses: Sync, n2f: Expenses, noon: SharedClock, hour_utc: int, minutes_before: int
) -> None:
    noon.advance((hour_utc - 10) * 3600 - minutes_before * 60)
    _users(expenses, *_many(90))

    run = await expenses.first_run()

    assert run.state == "succeeded"
    assert n2f.books.counts["status_429"] == 0


async def test_a_pause_that_n2f_asks_for_is_kept_and_is_no_failure(
    expenses: Sync, n2f: Expenses, noon: SharedClock
) -> None:
    _users(expenses, ADA, BEA)
    view = await expenses.plan()
    await expenses.approve(view, creates=2)
    n2f.break_("429", count=1, ms=7000, operation="n2f.write")
    before = noon.now()

    run = await expenses.apply(view)

    assert run.state == "succeeded"
    assert (noon.now() - before).total_seconds() >= 7
    assert n2f.users.keys() == {"ada@example.org", "bea@example.org"}


async def test_an_old_token_is_renewed_once_and_the_write_goes_on(expenses: Sync, n2f: Expenses) -> None:
    _users(expenses, ADA)
    view = await expenses.plan()
    await expenses.approve(view, creates=1)
    n2f.books.tokens.clear()

    run = await expenses.apply(view)

    assert run.state == "succeeded"
    assert n2f.books.tokens_n == 2


async def test_an_account_that_n2f_does_not_know_is_said_to_be_refused(expenses: Sync, n2f: Expenses) -> None:
    await _connect(expenses, client_secret="n2f_client_id")
    _users(expenses, ADA)

    with pytest.raises(TargetCredentialRefused):
        await expenses.plan()

    assert n2f.books.counts["status_401"] == 1


@pytest.mark.parametrize(
    ("public", "said"),
    [
        ({"base_url": "http://n2f.example"}, "https"),
        ({"zone": "Europe/Nowhere"}, "time zone"),
        ({"writes_by_day": "many"}, "writes_by_day"),
        ({"pace": "10"}, "pace"),
    ],
)
async def test_a_connection_with_a_fault_is_refused_in_words(expenses: Sync, public: dict[str, Any], said: str) -> None:
    await _connect(expenses, **public)

    with pytest.raises(PipelineInvalid, match=said):
        await expenses.declare(USERS)


async def test_a_pipeline_that_n2f_cannot_serve_is_refused_when_it_is_saved(expenses: Sync) -> None:
    for old, new, said in (
        ('collection = "users"', 'collection = "user"', "did you mean 'users'"),
        ("jobTitle =", "jobTitel =", "did you mean 'jobTitle'"),
        ('lookup = "roles"', 'lookup = "role"', "did you mean 'roles'"),
        ('key = ["mail"]', 'key = ["lastname"]', "The key of users is mail"),
    ):
        with pytest.raises(PipelineInvalid, match=said):
            await expenses.declare(USERS.replace(old, new))


def _busiest(n2f: Expenses, kind: str) -> int:
    """The most calls of a kind in any sixty seconds, by the simulator's own log."""
    at = [each.at.timestamp() for each in n2f.books.calls if each.kind == kind]
    return max(sum(one <= other < one + 60 for other in at) for one in at)


async def test_the_demo_writes_to_n2f_where_there_is_a_simulated_one(expenses: Sync, n2f: Expenses) -> None:
    async with expenses.ctx() as ctx:
        await pipelines.delete_pipeline(ctx.db, ctx.tenant.id, "users")

    for _ in range(2):
        async with expenses.ctx() as ctx:
            await fill_demo(ctx)

    assert (len(n2f.users), n2f.writes) == (24, 24)
    async with expenses.ctx() as ctx:
        made = (await plans.list_plans(ctx.db, ctx.tenant.id, ListQuery())).items
    assert [(view.state, dict(view.counts), view.budget["quarantined"]) for view in made] == [
        ("blocked", {"create": 1, "update": 18}, 1),
        ("applied", {"create": 24}, 0),
    ]


async def _connect(expenses: Sync, client_secret: str = "n2f_client_secret", **public: Any) -> None:
    """Keep another connection `n2f`. client_secret: the name of the setting that holds it."""
    secrets = {"client_id": "n2f_client_id", "client_secret": client_secret}
    async with expenses.ctx() as ctx:
        await pipelines.save_connection(
            ctx.db, ctx.tenant.id, Connection(name="n2f", kind="n2f", public=public, secrets=secrets)
        )
