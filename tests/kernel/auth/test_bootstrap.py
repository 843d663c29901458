import asyncio
import sys

from ossature.kernel import clock
from ossature.kernel.auth.bootstrap import another_admin, ensure_first_admin
from ossature.kernel.auth.keys import store
from ossature.kernel.auth.keys.domain import digest
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.tenants import store as tenants


async def test_an_empty_house_gets_a_tenant_and_an_administrator_once(database: Database) -> None:
    first = await ensure_first_admin(database, slug="acme", name="Acme", zone="Europe/Zurich", language="fr")
    assert first is not None
    assert (first.tenant.slug, first.tenant.zone, first.tenant.language) == ("acme", "Europe/Zurich", "fr")
    assert await ensure_first_admin(database) is None
    async with database.begin() as db:
        found = await store.key_by_digest(db, digest(first.secret), clock.now())
        assert found is not None
        assert found[0].roles == {"platform_admin"}
        assert await tenants.count_tenants(db) == 1


async def test_of_many_that_start_at_once_one_makes_the_administrator(database: Database) -> None:
    made = await asyncio.gather(*(ensure_first_admin(database) for _ in range(8)))
    assert sum(one is not None for one in made) == 1
    async with database.begin() as db:
        assert await tenants.count_tenants(db) == 1


_START = """
import asyncio, sys
from ossature.kernel.auth.bootstrap import another_admin, ensure_first_admin
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
async def main():
    database = Database(DatabaseSettings(url=sys.argv[1]))
    print("made" if await ensure_first_admin(database) else "none")
    await database.close()
asyncio.run(main())
"""


async def test_of_two_processes_that_start_at_once_one_makes_the_administrator(database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _START, database_url, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [(await process.communicate())[0].strip() for process in processes]
    assert sorted(answers) == [b"made", b"none"]
    database = Database(DatabaseSettings(url=database_url))
    async with database.begin() as db:
        assert await tenants.count_tenants(db) == 1
    await database.close()


async def test_whoever_lost_the_first_key_gets_another_for_the_same_tenant(database: Database) -> None:
    assert await another_admin(database, name="too early") is None
    first = await ensure_first_admin(database)
    assert first is not None

    second = await another_admin(database, name="laptop")

    assert second is not None
    assert second.tenant == first.tenant
    assert second.secret != first.secret
