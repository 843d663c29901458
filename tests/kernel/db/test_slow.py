from uuid import UUID

from sqlalchemy import bindparam, insert, select, text, update

from ossature.kernel import clock
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.tenants.store import ProjectRow


async def test_a_slow_write_is_told_of_and_not_disturbed(database_url: str) -> None:
    database = Database(DatabaseSettings(url=database_url, slow_statement_s=1e-9))
    async with database.begin() as db:
        new = insert(ProjectRow).values(tenant_id=SYSTEM_TENANT_ID, slug="slow", name="Slow").returning(ProjectRow.id)
        assert await db.scalar(new) is not None
        assert await db.execute(update(ProjectRow).where(ProjectRow.slug == "slow").values(name="Slower")) == 1
    await database.close()


async def test_a_slow_read_is_told_of_and_not_disturbed_whatever_its_columns(database_url: str) -> None:
    database = Database(DatabaseSettings(url=database_url, slow_statement_s=1e-9))
    async with database.begin() as db:
        new = insert(ProjectRow).values(tenant_id=SYSTEM_TENANT_ID, slug="slow", name="Slow").returning(ProjectRow.id)
        made = await db.scalar(new)
        by_values = select(ProjectRow.id, ProjectRow.created_at).where(
            ProjectRow.id.in_([made, clock.new_id()]),
            ProjectRow.created_at <= clock.now(),
            ProjectRow.slug == bindparam("slug"),
        )
        assert [row.id for row in await db.all(by_values, {"slug": "slow"})] == [made]
        assert isinstance(made, UUID)
        assert await db.scalar(text("SELECT count(*) FROM tenants_project WHERE slug = :slug"), {"slug": "slow"}) == 1
        assert (await db.all(text("SELECT 1 AS one")))[0].one == 1
    await database.close()
