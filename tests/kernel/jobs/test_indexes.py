"""The statements that a worker sends all day are answered from indexes, however many jobs have ended."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql, sqlite

from ossature.kernel.jobs import claims, store
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID
from ossature.kernel.service import Job

from .conftest import Shop

OpenShop = Callable[..., Shop]


async def nothing(_ctx: Any) -> None:
    return


NOTHING = Job(name="test.nothing", run=nothing)


def hot_statement(here: Shop, name: str) -> Any:
    if name == "look":
        return claims.glance(here.jobs.lanes(("default",)))
    return {"claim": select(claims._picked), "count": store._COUNTS}[name]


@pytest.mark.parametrize(
    ("name", "indexes"),
    [("look", ["due", "later", "leased"]), ("claim", ["due"]), ("count", ["due", "later", "leased"])],
)
async def test_a_hot_statement_reads_no_table_as_a_whole(shop: OpenShop, name: str, indexes: list[str]) -> None:
    here = shop(NOTHING)
    async with here.database.begin() as db:
        await here.jobs.enqueue_many(db, NOTHING, [{}] * 2000, tenant_id=HOUSE_TENANT_ID)
        await db.write_text("UPDATE jobs_job SET state = 'succeeded', line = 0, finished_at = created_at")
    statement = hot_statement(here, name)
    values = {"look": {"b_worker": HOUSE_TENANT_ID}, "claim": {"b_lane": "default", "b_most": 10}, "count": {}}[name]
    dialect = sqlite.dialect() if here.database.embedded else postgresql.dialect()  # type: ignore[no-untyped-call]
    sql = str(statement.params(values).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    async with here.database.begin() as db:
        await db.write_text("ANALYZE jobs_job")
        explain = "EXPLAIN QUERY PLAN" if here.database.embedded else "EXPLAIN"
        plan = "\n".join(str(row[-1]) for row in await db.all(text(f"{explain} {sql.replace(':', chr(92) + ':')}")))
    assert "Seq Scan on jobs_job" not in plan
    assert "SCAN jobs_job\n" not in f"{plan}\n"
    for index in indexes:
        assert f"ix_jobs_job_{index}" in plan
