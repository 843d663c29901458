"""The ring turns, and what it sealed before comes under its new key: also when killed, and while others write."""

import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import LargeBinary, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from ossature.kernel import clock
from ossature.kernel.crypto.kept import RingFile, as_setting
from ossature.kernel.crypto.ring import FixedKeys, Key, KeyRing, SealBroken
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.db.engine import Database
from ossature.kernel.db.sealed import SealedBytes, SealedText
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.types import TYPES
from ossature.kernel.secrets import usecases
from ossature.kernel.secrets.jobs import CHECK, REENCRYPT
from ossature.kernel.secrets.usecases import ColumnDone, NotAllSealed, SealedColumns
from ossature.kernel.service import Health
from ossature.kernel.tenants.store import TenantRow
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import open_house
from ossature.kernel.webhooks import store
from ossature.kernel.webhooks.domain import Endpoint
from tests.kernel.cli.conftest import Ossature, at_home, ossature

__all__ = ["at_home", "ossature"]
RESEALER = Path(__file__).with_name("resealer.py")
COLUMNS = (store.SECRET_OF, store.OLD_SECRET_OF)
NOW = datetime(2031, 3, 3, tzinfo=UTC)


class World:
    """A database with endpoints, sealed by a ring in a file."""

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path
        self.ring = KeyRing(RingFile(path))
        self.database = Database(DatabaseSettings(url=url, busy_time_limit_s=60), ring=self.ring)
        self.tenant_id = uuid4()
        self.columns = SealedColumns(self.database, COLUMNS, secret=b"house", batch=5)

    async def fill(self, count: int) -> list[Endpoint]:
        endpoints = [
            Endpoint(
                id=uuid4(),
                tenant_id=self.tenant_id,
                url="https://x.example",
                events=("*",),
                secrets=(f"whsec_{number}",),
                created_at=NOW,
            )
            for number in range(count)
        ]
        async with self.database.begin() as db:
            await db.execute(insert(TenantRow).values(id=self.tenant_id, slug="shop", name="Shop"))
            for endpoint in endpoints:
                await store.add_endpoint(db, self.tenant_id, endpoint)
        return endpoints

    async def secrets(self, endpoints: Sequence[Endpoint]) -> list[tuple[str, ...]]:
        async with self.database.begin() as db:
            return [await store.secrets_of(db, self.tenant_id, one.id) for one in endpoints]

    async def by_key(self) -> list[int]:
        """How many values each key sealed, the active key first, and those that none did."""
        uses, others = await self.columns.keys()
        return [*(use.values for use in uses), others]

    def process(self, how: str, *rest: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(RESEALER), how, self.url, str(self.path), *map(str, rest)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    opened = World(database_url, tmp_path / "ring")
    yield opened
    await opened.database.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_after_a_turn_every_value_comes_under_the_new_key(world: World) -> None:
    endpoints = await world.fill(12)
    until = datetime(2999, 1, 1, tzinfo=UTC)
    async with world.database.begin() as db:
        await store.put_secret(db, world.tenant_id, endpoints[0].id, "whsec_new", old="whsec_0", until=until)
    expected = [("whsec_new", "whsec_0"), *(one.secrets for one in endpoints[1:])]
    assert await world.by_key() == [13, 0]

    world.ring.rotate()
    assert await world.by_key() == [0, 13, 0]
    assert await world.secrets(endpoints) == expected
    told: list[tuple[str, int]] = []
    done = await world.columns.reseal(lambda column, so_far: told.append((column, so_far)))

    assert done == [ColumnDone(store.SECRET_OF.name, 12, []), ColumnDone(store.OLD_SECRET_OF.name, 1, [])]
    assert told == [*((store.SECRET_OF.name, so_far) for so_far in (5, 10, 12)), (store.OLD_SECRET_OF.name, 1)]
    assert await world.by_key() == [13, 0, 0]
    assert await world.secrets(endpoints) == expected
    assert [one.done for one in await world.columns.reseal()] == [0, 0]


async def test_what_is_broken_is_named_and_left_and_the_others_are_sealed(world: World) -> None:
    endpoints = await world.fill(12)
    world.ring.rotate()
    broken = endpoints[3]
    async with world.database.begin() as db:
        row = store.EndpointRow
        other = await db.scalar(select(row.secret).where(row.id == endpoints[4].id))
        await db.execute(update(row).where(row.id == broken.id).values(secret=other))

    done = await world.columns.reseal()

    assert [(one.done, one.broken) for one in done] == [(11, [broken.id]), (0, [])]
    with pytest.raises(SealBroken):
        await world.secrets([broken])


async def test_values_from_before_the_ring_are_read_and_sealed(world: World) -> None:
    endpoints = await world.fill(3)
    async with world.database.begin() as db:
        await db.execute(update(store.EndpointRow).values(secret="whsec_as_it_was"))
    assert await world.by_key() == [0, 3]

    await world.columns.reseal()

    assert await world.by_key() == [3, 0]
    assert await world.secrets(endpoints) == [("whsec_as_it_was",)] * 3


async def test_killed_in_the_middle_it_goes_on_where_it_was(world: World) -> None:
    endpoints = await world.fill(23)
    world.ring.rotate()
    first = world.process("reseal")
    assert line_of(first) == "5"
    assert first.stdin is not None
    first.stdin.write("go on\n")
    first.stdin.flush()
    assert line_of(first) == "10"
    first.kill()
    first.communicate()

    assert await world.by_key() == [10, 13, 0]
    assert await world.secrets(endpoints) == [one.secrets for one in endpoints]
    second = world.process("reseal")
    said, _ = second.communicate("go on\n" * 9, timeout=120)

    assert said.split() == ["5", "10", "13", "whole"]
    assert await world.by_key() == [23, 0, 0]
    assert await world.secrets(endpoints) == [one.secrets for one in endpoints]


async def test_nothing_becomes_unreadable_when_the_ring_turns_while_others_write(world: World) -> None:
    endpoints = await world.fill(6)
    halves = (endpoints[:3], endpoints[3:])
    writers = [world.process("write", world.tenant_id, *(one.id for one in half)) for half in halves]
    assert [line_of(writer) for writer in writers] == ["writing", "writing"]

    for _ in range(4):
        world.ring.rotate()
        await world.columns.reseal()
        assert all(secret.startswith("whsec_") for (secret,) in await world.secrets(endpoints))

    last = [writer.communicate("stop\n", timeout=120)[0].strip() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    wanted = [(f"whsec_{one.id}_{number}",) for half, number in zip(halves, last, strict=True) for one in half]
    assert await world.secrets(endpoints) == wanted
    await world.columns.reseal()
    assert await world.by_key() == [6, 0, 0, 0, 0, 0]
    assert await world.secrets(endpoints) == wanted


async def test_the_ring_turns_by_itself_after_ninety_days_and_the_worker_seals_anew(
    tmp_path: Path, database_url: str
) -> None:
    with clock.using(FakeClock()) as still:
        async with open_house(var_dir=tmp_path, database_url=database_url) as home, home.client() as http:
            house, worker = home.house, home.house.worker()
            hook = {"url": "https://hooks.example.org/x", "events": ["*"]}
            assert (await http.post("/v1/webhooks", json=hook)).status_code == 201
            first = house.ring.active.id

            async def week() -> str:
                still.advance(7 * 86_400)
                async with house.occasion() as ctx:
                    await ctx.enqueue(CHECK, {})
                while await worker.run_due():
                    pass
                return house.ring.active.id

            active = [await week() for _ in range(13)]
            uses, others = await house.port(SealedColumns).keys()
            report = await house.inspector.everything()

    assert active[:12] == [first] * 12
    assert active[12] != first
    assert [(use.id, use.active, use.values) for use in uses] == [(active[12], True, 1), (first, False, 0)]
    assert others == 0
    assert next(one for one in report.findings if one.name == "key_ring").health is Health.OK


async def test_a_ring_of_the_settings_that_grows_old_is_told_of_and_not_turned(
    tmp_path: Path, database_url: str
) -> None:
    with clock.using(FakeClock()) as still:
        settings = CryptoSettings(keys=as_setting(Key.new()))
        async with open_house(var_dir=tmp_path, database_url=database_url, settings=[settings]) as home:
            still.advance(105 * 86_400)
            async with home.house.occasion() as ctx:
                assert await usecases.turn_old(ctx) is None
            report = await home.house.inspector.everything()

    finding = next(one for one in report.findings if one.name == "key_ring")
    assert finding.health is Health.DEGRADED
    assert "OSSATURE_CRYPTO_KEYS" in finding.advice
    assert not (tmp_path / "keyring.json").exists()


async def test_a_lost_ring_is_told_of_by_check_and_job(tmp_path: Path, database_url: str) -> None:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home, home.client() as http:
        await http.post("/v1/webhooks", json={"url": "https://hooks.example.org/x", "events": ["*"]})
    (tmp_path / "keyring.json").unlink()
    database = Database(DatabaseSettings(url=database_url), ring=KeyRing(RingFile(tmp_path / "keyring.json")))
    uses, others = await SealedColumns(database, COLUMNS, secret=b"house").keys()
    await database.close()

    assert [use.values for use in uses] == [0]
    assert others == 1


def test_the_check_is_weekly_and_the_job_may_take_its_time() -> None:
    assert CHECK.every is not None
    assert CHECK.every.cron == "20 4 * * 1"
    assert REENCRYPT.time_limit_s >= timedelta(hours=1).total_seconds()


def test_the_command_lists_turns_and_seals(ossature: Ossature, at_home: Path) -> None:
    (first,) = ossature("keys", "list", "--json").json
    assert (first["active"], first["values"]) == (True, 0)
    assert (at_home / "var" / "keyring.json").stat().st_mode & 0o777 == 0o600

    turned = ossature("keys", "rotate", "--json").json
    listed = ossature("keys", "list", "--json").json
    assert [one["id"] for one in listed] == [turned["id"], first["id"]]
    done = ossature("keys", "reencrypt", "--json")
    assert done.code == 0
    assert {one["column"]: (one["sealed"], one["broken"]) for one in done.json} == {
        "auth_totp/sealed": (0, 0),
        "webhooks_endpoint/secret": (0, 0),
        "webhooks_endpoint/old_secret": (0, 0),
        "notify_mail/body": (0, 0),
    }


@pytest.mark.usefixtures("at_home")
def test_a_new_key_fits_into_the_settings(ossature: Ossature, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ossature("keys", "new").out.strip()
    monkeypatch.setenv("OSSATURE_CRYPTO_KEYS", made)

    (only,) = ossature("keys", "list", "--json").json
    refused = ossature("keys", "rotate")

    assert only["id"] == made.split(":")[0]
    assert refused.code == 1
    assert "OSSATURE_CRYPTO_KEYS" in refused.err


class Base(DeclarativeBase):
    """Tables of this test alone."""

    type_annotation_map = TYPES


class PatientRow(Base):
    __tablename__ = "test_patient"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str]
    number_index: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    notes: Mapped[bytes]


NUMBER = SealedText(PatientRow.number, row=PatientRow.id, index=PatientRow.number_index)
NOTES = SealedBytes(PatientRow.notes, row=PatientRow.id)


async def test_rows_are_found_by_a_sealed_value_before_and_after_the_turn(database_url: str) -> None:
    old, new = Key.new(), Key.new()
    rings = [KeyRing(FixedKeys(old)), KeyRing(FixedKeys(new, old))]
    people = {uuid4(): number for number in ("756.1", "756.2", "756.2")}
    before, after = (Database(DatabaseSettings(url=database_url), ring=ring) for ring in rings)
    async with before.begin() as db:
        spoken = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}[db.dialect]
        await db.write_text(str(CreateTable(PatientRow.__table__).compile(dialect=spoken)))
        for one, number in people.items():
            sealed = {"number": NUMBER.seal(db.ring, one, number), "number_index": NUMBER.blind(db.ring, number)}
            await db.execute(
                insert(PatientRow).values(id=one, notes=NOTES.seal(db.ring, one, f"of {number}"), **sealed)
            )

    async def found(database: Database, number: str) -> set[UUID]:
        async with database.begin() as db:
            rows = await db.all(select(PatientRow.id).where(NUMBER.is_about(db.ring, number)))
        return {row.id for row in rows}

    second = {one for one, number in people.items() if number == "756.2"}
    assert await found(before, "756.2") == await found(after, "756.2") == second
    done = await SealedColumns(after, [NUMBER, NOTES], secret=b"house", batch=2).reseal()
    assert [one.done for one in done] == [3, 3]
    assert await found(after, "756.2") == second
    assert await found(before, "756.2") == await found(after, "756.3") == set()
    async with after.begin() as db:
        rows = await db.all(select(PatientRow.__table__))
    assert {row.id: NOTES.open(rings[1], row.id, row.notes) for row in rows} == {
        one: f"of {number}" for one, number in people.items()
    }
    assert not any(b"756." in row.notes or "756." in row.number for row in rows)
    with pytest.raises(TypeError):
        NOTES.is_about(rings[1], "of 756.1")
    for database in (before, after):
        await database.close()


async def test_a_job_that_could_not_open_everything_fails_by_name(tmp_path: Path, database_url: str) -> None:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home, home.client() as http:
        await http.post("/v1/webhooks", json={"url": "https://hooks.example.org/x", "events": ["*"]})
        async with home.house.database.begin() as db:
            await db.execute(update(store.EndpointRow).values(secret="osk1" + "A" * 150))
        async with home.house.occasion() as ctx:
            with pytest.raises(NotAllSealed) as refused:
                await usecases.reencrypt(ctx)

    assert refused.value.facts == {"broken": {"webhooks_endpoint/secret": 1}}
