"""Idempotency-Key: one effect and one answer, whatever happens in between. On both databases."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import ColumnElement, text, update

from ossature.kernel import clock
from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.db.engine import Database
from ossature.kernel.http import store
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import Home, open_house
from tests.kernel.http.shop import LET_GO, SHOP

Packed = Callable[[], Awaitable[int]]
ROOT = Path(__file__).parents[3]
TEA = {"name": "tea", "count": 2}
MINE = {"idempotency-key": "order-of-today"}


@pytest.fixture(autouse=True)
def _orders_wait() -> None:
    LET_GO.clear()


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    """The shop, once on SQLite and once on PostgreSQL."""
    async with open_house(SHOP, var_dir=tmp_path, database_url=database_url) as opened:
        yield opened


def slug(answer: httpx.Response) -> str:
    found: str = answer.json()["type"].rpartition("/")[2]
    return found


async def test_a_request_that_is_sent_again_has_one_effect_and_the_same_answer(
    http: httpx.AsyncClient, packed: Packed
) -> None:
    first = await http.post("/v1/shop/orders", json=TEA, headers=MINE)
    again = await http.post("/v1/shop/orders", json=TEA, headers=MINE)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await packed() == 1


async def test_without_a_key_every_request_has_its_effect(http: httpx.AsyncClient, packed: Packed) -> None:
    for _ in range(2):
        await http.post("/v1/shop/orders", json=TEA)
    assert await packed() == 2


async def test_the_same_key_for_something_else_is_refused(http: httpx.AsyncClient, packed: Packed) -> None:
    await http.post("/v1/shop/orders", json=TEA, headers=MINE)
    for path, body in (
        ("/v1/shop/orders", {"name": "coffee"}),
        ("/v1/shop/orders?then=wait", TEA),
        ("/v1/shop/notes", TEA),
    ):
        refused = await http.post(path, json=body, headers=MINE)
        assert (refused.status_code, slug(refused)) == (422, "idempotency-mismatch")
    assert await packed() == 1


async def test_duplicates_at_the_same_time_have_one_effect(http: httpx.AsyncClient, packed: Packed) -> None:
    asked = [asyncio.create_task(http.post("/v1/shop/orders?then=wait", json=TEA, headers=MINE)) for _ in range(8)]
    async with asyncio.timeout(60):
        while sum(one.done() for one in asked) < 7:  # noqa: ASYNC110 - what is watched is no event
            await asyncio.sleep(0.01)
    LET_GO.append(True)
    answers = await asyncio.gather(*asked)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 1, 409: 7}
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert {slug(answer) for answer in waiting} == {"request-in-progress"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in waiting)
    assert await packed() == 1
    again = await http.post("/v1/shop/orders?then=wait", json=TEA, headers=MINE)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")


async def test_a_request_that_was_refused_or_failed_may_be_sent_again(http: httpx.AsyncClient, packed: Packed) -> None:
    for then, status in (("refuse", 409), ("break", 500)):
        for _ in range(2):
            headers = {"idempotency-key": f"key {then}"}
            answer = await http.post(f"/v1/shop/orders?then={then}", json=TEA, headers=headers)
            assert (answer.status_code, slug(answer)) == (status, "sold-out" if status == 409 else "problem")
    assert await packed() == 0


async def test_a_request_that_was_malformed_may_be_mended(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/shop/orders", json={}, headers=MINE)).status_code == 422
    assert (await http.post("/v1/shop/orders", json=TEA, headers=MINE)).status_code == 201


async def test_a_key_belongs_to_its_caller(home: Home, http: httpx.AsyncClient, packed: Packed) -> None:
    made = await http.post("/v1/auth/keys", json={"name": "other", "roles": ["owner"]})
    assert made.status_code == 201, made.text
    async with home.client(secret=made.json()["secret"]) as other:
        assert (await http.post("/v1/shop/orders", json=TEA, headers=MINE)).status_code == 201
        answer = await other.post("/v1/shop/orders", json={"name": "coffee"}, headers=MINE)
        assert (answer.status_code, answer.json()["name"]) == (201, "coffee")
    assert await packed() == 2


async def test_a_caller_without_a_name_may_use_a_key_too(stranger: httpx.AsyncClient, packed: Packed) -> None:
    answers = [await stranger.post("/v1/shop/notes", json=TEA, headers=MINE) for _ in range(2)]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"], answers[0].text
    assert await packed() == 1


async def test_what_is_read_ignores_a_key(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await http.get("/v1/shop/seen", headers=MINE)
        assert "idempotent-replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "k" * 201, "tab\tkey", "ключ"])
async def test_a_key_that_is_no_key_is_refused(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post("/v1/shop/orders", json=TEA, headers={"idempotency-key": key.encode()})
    assert (answer.status_code, slug(answer)) == (422, "invalid-input")


async def test_an_answer_is_forgotten_after_a_day(http: httpx.AsyncClient, home: Home, packed: Packed) -> None:
    with clock.using(FakeClock(clock.now())) as time_stands:
        assert isinstance(time_stands, FakeClock)
        await http.post("/v1/shop/orders", json=TEA, headers=MINE)
        time_stands.advance(timedelta(hours=23, minutes=59).total_seconds())
        await http.post("/v1/shop/orders", json=TEA, headers=MINE)
        assert await packed() == 1
        time_stands.advance(timedelta(minutes=2).total_seconds())
        async with home.house.database.begin() as db:
            assert await store.purge(db, clock.now()) == 1
        await http.post("/v1/shop/orders", json=TEA, headers=MINE)
        assert await packed() == 2


async def test_a_claim_whose_process_died_is_taken_over_when_its_lease_is_over(
    home: Home, http: httpx.AsyncClient, packed: Packed
) -> None:
    """The dead process is played by a request that is cut off without a chance to tidy up."""
    with clock.using(FakeClock(clock.now())) as time_stands:
        assert isinstance(time_stands, FakeClock)
        await http.post("/v1/shop/orders", json=TEA, headers=MINE)
        async with home.house.database.begin() as db:
            await db.write_text("UPDATE http_idempotency SET status = NULL, answer = NULL")
            await db.write_text("DELETE FROM jobs_job WHERE name = 'shop.pack'")
        early = await http.post("/v1/shop/orders", json=TEA, headers=MINE)
        assert (early.status_code, slug(early)) == (409, "request-in-progress")
        time_stands.advance(61)
        assert (await http.post("/v1/shop/orders", json=TEA, headers=MINE)).status_code == 201
        assert await packed() == 1


async def taken_over(home: Home, which: ColumnElement[bool]) -> bool:
    """Give such a claim to somebody else; whether there was one."""
    async with home.house.database.begin() as db:
        changed = update(store.IdempotencyRow).where(which).values(claim_id=clock.new_id())
        return await db.execute(changed) > 0


async def test_who_was_taken_over_leaves_no_effect(home: Home, http: httpx.AsyncClient, packed: Packed) -> None:
    slow = asyncio.create_task(http.post("/v1/shop/orders?then=wait", json=TEA, headers=MINE))
    async with asyncio.timeout(60):
        while not await taken_over(home, store.IdempotencyRow.status.is_(None)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    LET_GO.append(True)
    answer = await slow
    assert (answer.status_code, slug(answer)) == (409, "request-in-progress")
    assert await packed() == 0


async def test_what_failed_after_a_step_is_not_begun_again(http: httpx.AsyncClient, packed: Packed) -> None:
    with clock.using(FakeClock(clock.now())) as time_stands:
        assert isinstance(time_stands, FakeClock)
        first = await http.post("/v1/shop/orders?then=half", json=TEA, headers=MINE)
        assert (first.status_code, slug(first)) == (409, "sold-out")
        for _ in range(2):
            again = await http.post("/v1/shop/orders?then=half", json=TEA, headers=MINE)
            assert (again.status_code, slug(again)) == (409, "request-interrupted")
            time_stands.advance(61)
    assert await packed() == 1


async def test_what_commits_in_steps_is_answered_again_like_all_others(http: httpx.AsyncClient, packed: Packed) -> None:
    LET_GO.append(True)
    answers = [await http.post("/v1/shop/orders?then=half-wait", json=TEA, headers=MINE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert await packed() == 2  # one in the step, one after it; none for the second request


async def test_who_was_taken_over_commits_no_step(home: Home, http: httpx.AsyncClient, packed: Packed) -> None:
    slow = asyncio.create_task(http.post("/v1/shop/orders?then=half-wait", json=TEA, headers=MINE))
    async with asyncio.timeout(60):
        while not await taken_over(home, store.IdempotencyRow.has_effects):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    LET_GO.append(True)
    answer = await slow
    assert (answer.status_code, slug(answer)) == (409, "request-in-progress")
    assert await packed() == 1  # the step that was committed while the claim was its own


async def dump(home: Home) -> bytes:
    """Everything that the table holds, in the forms in which a value may be seen."""
    async with home.house.database.begin() as db:
        rows = await db.all(text("SELECT * FROM http_idempotency"))
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row if value is not None
    )


async def test_the_database_alone_gives_back_neither_the_key_nor_the_answer(
    home: Home, http: httpx.AsyncClient
) -> None:
    made = await http.post("/v1/auth/keys", json={"name": "shown once"}, headers=MINE)
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    held = await dump(home)
    assert held
    for word in (secret, secret[:12], made.json()["key"]["id"], MINE["idempotency-key"], "shown once"):
        assert word.encode() not in held
        assert word.encode().hex().encode() not in held
    again = await http.post("/v1/auth/keys", json={"name": "shown once"}, headers=MINE)
    assert (again.headers["idempotent-replayed"], again.json()["secret"]) == ("true", secret)


async def test_an_answer_that_was_altered_is_neither_shown_nor_made_again(
    home: Home, http: httpx.AsyncClient, packed: Packed
) -> None:
    await http.post("/v1/shop/orders", json=TEA, headers=MINE)
    async with home.house.database.begin() as db:
        await db.execute(update(store.IdempotencyRow).values(status=200))
    answer = await http.post("/v1/shop/orders", json=TEA, headers=MINE)
    assert (answer.status_code, slug(answer)) == (500, "answer-damaged")
    assert await packed() == 1


@asynccontextmanager
async def a_server(url: str, var_dir: Path, *, lease_s: float) -> AsyncIterator[str]:
    """The address of the shop in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kernel.http.kill_server", url, str(var_dir), str(lease_s),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def effects(database: Database) -> int:
    async with database.begin() as db:
        return int(await db.scalar(text("SELECT count(*) FROM jobs_job WHERE name = 'shop.pack'")))


@pytest.mark.parametrize("moment", ["before-commit", "before-answer"])
async def test_a_kill_between_effect_and_answer_allows_no_second_effect(
    database: Database, database_url: str, tmp_path: Path, moment: str
) -> None:
    first = await ensure_first_admin(database)
    assert first is not None
    headers = {"authorization": f"Bearer {first.secret}", **MINE}
    async with a_server(database_url, tmp_path, lease_s=2.0) as url, httpx.AsyncClient(headers=headers) as http:
        with pytest.raises(httpx.TransportError):
            await http.post(f"{url}/v1/shop/orders", json=TEA, headers={"x-die": moment}, timeout=20)
    killed = time.monotonic()
    assert await effects(database) == (1 if moment == "before-answer" else 0)
    statuses = []
    async with a_server(database_url, tmp_path, lease_s=2.0) as url, httpx.AsyncClient(headers=headers) as http:
        while True:
            answer = await http.post(f"{url}/v1/shop/orders", json=TEA)
            statuses.append(answer.status_code)
            if answer.status_code != 409:
                break
            assert time.monotonic() - killed < 120
            await asyncio.sleep(0.2)
    assert statuses[-1] == 201
    assert answer.headers.get("idempotent-replayed") == ("true" if moment == "before-answer" else None)
    if moment == "before-answer":
        assert statuses == [201]
    assert await effects(database) == 1


async def test_an_id_that_no_column_holds_is_replaced(http: httpx.AsyncClient, packed: Packed) -> None:
    for given, kept in (("a" * 64, True), ("a" * 65, False), ("a" * 128, False)):
        answer = await http.post("/v1/shop/orders", json=TEA, headers={"x-request-id": given})
        assert answer.status_code == 201
        assert (answer.headers["x-request-id"] == given) is kept
    assert await packed() == 3
