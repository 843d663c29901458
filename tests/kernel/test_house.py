"""The whole house, put together: what it checks of itself, and what it refuses to be made of."""

import asyncio
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ossature.kernel.config import Config
from ossature.kernel.db import migrate
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.house import House
from ossature.kernel.jobs.checks import JOBS
from ossature.kernel.observe.health import inspect
from ossature.kernel.service import Health, Job, Service
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.registry import FORGET
from ossature.kernel.testing.houses import open_house
from tests.kernel.proxy import Proxy


class NobodyKeepsThis:
    """A promise."""


async def _nothing(_ctx: object) -> None:
    """A job."""


async def test_every_part_is_checked_and_well_in_a_fresh_house(tmp_path: Path, redis_url: str) -> None:
    environ = {
        "OSSATURE_VAR_DIR": str(tmp_path),
        "OSSATURE_REDIS_URL": f"{redis_url}/9",
        "OSSATURE_REDIS_PREFIX": "t-house:",
    }
    config = Config.load(settings_of(everybody(())), environ)
    database = Database(config[DatabaseSettings], var_dir=tmp_path)
    await migrate.upgrade(database)
    await database.close()

    async with House.open((), config) as house:
        report = await house.inspector.everything()

    found = {finding.name: finding for finding in report.findings}
    assert set(found) == {
        "disk",
        "clock",
        "database",
        "migrations",
        "redis",
        "providers",
        "queues",
        "broker",
        "key_ring",
        "backups",
    }
    assert report.health is Health.OK, found
    assert found["redis"].facts["version"]
    shutil.rmtree(tmp_path)


async def test_redis_that_is_away_degrades_and_does_not_stop_the_house(tmp_path: Path) -> None:
    environ = {"OSSATURE_VAR_DIR": str(tmp_path), "OSSATURE_REDIS_URL": "redis://127.0.0.1:1/0"}
    config = Config.load(settings_of(everybody(())), environ)
    database = Database(config[DatabaseSettings], var_dir=tmp_path)
    await migrate.upgrade(database)
    await database.close()

    async with House.open((), config) as house:
        report = await house.inspector.everything()

    found = {finding.name: finding for finding in report.findings}
    assert found["redis"].health is Health.DEGRADED
    assert report.ready


@pytest.mark.parametrize("transport", ["redis", "rabbitmq"])
@pytest.mark.parametrize("needed", [False, True])
async def test_a_broker_that_goes_away_is_named_until_it_returns(
    tmp_path: Path, redis_url: str, rabbitmq_url: str, transport: str, needed: bool
) -> None:
    real = urlsplit(redis_url if transport == "redis" else rabbitmq_url)
    async with Proxy(str(real.hostname), int(real.port or 0)) as proxy:
        through = real._replace(netloc=real.netloc.replace(f"{real.hostname}:{real.port}", f"127.0.0.1:{proxy.port}"))
        environ = {
            "OSSATURE_VAR_DIR": str(tmp_path),
            "OSSATURE_JOBS_TRANSPORT": transport,
            "OSSATURE_JOBS_BROKER_URL": through.geturl(),
            "OSSATURE_OBSERVE_READY_NEEDS": "broker" if needed else "",
        }
        config = Config.load(settings_of(everybody(())), environ)
        await _migrated(config, tmp_path)
        async with House.open((), config) as house:
            found = [await inspect(JOBS, house)]
            await proxy.down()
            found.append(await inspect(JOBS, house))
            await proxy.up()
            found.append(await inspect(JOBS, house))

    brokers = [next(one for one in report.findings if one.name == "broker") for report in found]
    away = Health.DOWN if needed else Health.DEGRADED
    assert [broker.health for broker in brokers] == [Health.OK, away, Health.OK]
    assert brokers[0].facts["transport"] == transport
    assert brokers[0].facts["version"]
    assert transport in brokers[1].detail
    assert [report.failing for report in found] == [[], ["broker"] if needed else [], []]


async def test_redis_that_must_answer_keeps_the_house_from_serving(tmp_path: Path) -> None:
    environ = {
        "OSSATURE_VAR_DIR": str(tmp_path),
        "OSSATURE_REDIS_URL": "redis://127.0.0.1:1/0",
        "OSSATURE_OBSERVE_READY_NEEDS": "redis",
    }
    config = Config.load(settings_of(everybody(())), environ)
    await _migrated(config, tmp_path)

    async with House.open((), config) as house:
        assert (await house.inspector.ready()).failing == ["redis"]


@pytest.mark.parametrize(
    ("profile", "needs", "failing"),
    [
        ("production", None, ["redis", "broker"]),
        ("production", "", []),
        ("production", "broker", ["broker"]),
        ("development", None, []),
    ],
)
async def test_in_production_what_is_configured_must_answer_unless_the_operator_says_otherwise(
    tmp_path: Path, profile: str, needs: str | None, failing: list[str]
) -> None:
    environ = {
        "OSSATURE_VAR_DIR": str(tmp_path),
        "OSSATURE_PROFILE": profile,
        "OSSATURE_SECRET_KEY": "n0t-the-default-but-good-enough-for-a-test",
        "OSSATURE_REDIS_URL": "redis://127.0.0.1:1/0",
        "OSSATURE_JOBS_TRANSPORT": "redis",
        "OSSATURE_JOBS_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    config = Config.load(
        settings_of(everybody(())), environ | ({} if needs is None else {"OSSATURE_OBSERVE_READY_NEEDS": needs})
    )
    await _migrated(config, tmp_path)

    async with House.open((), config) as house:
        assert (await house.inspector.ready()).failing == failing


async def _migrated(config: Config, var_dir: Path) -> None:
    database = Database(config[DatabaseSettings], var_dir=var_dir)
    await migrate.upgrade(database)
    await database.close()


def test_a_need_that_nobody_meets_is_refused_in_words() -> None:
    with pytest.raises(Misconfigured, match="needs NobodyKeepsThis, and nobody offers it"):
        everybody((Service(name="shop", needs=(NobodyKeepsThis,)),))


def test_two_services_or_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match="More than one service is called shop"):
        everybody((Service(name="shop"), Service(name="shop")))
    job = Job(name="shop.sweep", run=_nothing)
    with pytest.raises(Misconfigured, match=r"More than one job is called shop\.sweep"):
        everybody((Service(name="shop", jobs=(job,)), Service(name="stall", jobs=(job,))))


async def test_what_is_read_of_a_tenant_while_it_changes_is_not_remembered(tmp_path: Path, sqlite_url: str) -> None:
    async with open_house(var_dir=tmp_path, database_url=sqlite_url) as home:
        house, tenant_id = home.house, home.tenant.id
        reading = asyncio.create_task(house.tenant(tenant_id))
        while not reading.done():
            house.signals.publish(FORGET, {"tenant": str(tenant_id)})
            await asyncio.sleep(0)
        async with house.database.begin() as db:
            await tenants.change_tenant(db, tenant_id, {"name": "Other"})

        assert (await reading).name == home.tenant.name
        assert (await house.tenant(tenant_id)).name == "Other"
