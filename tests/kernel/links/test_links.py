"""Signed links: each opens one thing, for a while, so often as was said, until somebody takes it back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ossature.kernel import clock
from ossature.kernel.http.edge import RateLimited
from ossature.kernel.links.domain import LinkRefused, made_here, new_token
from ossature.kernel.links.usecases import Links
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.testing.houses import Home, open_house

TRACK, RESET = "shop.track", "shop.reset"


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    limits = QuotaSettings(rates={"tracking": "3/60"})
    async with open_house(var_dir=tmp_path, database_url=database_url, settings=[limits]) as opened:
        yield opened


async def a_link(home: Home, scope: str = RESET, *, uses: int | None = 1, hours: float = 1) -> str:
    until = clock.now() + timedelta(hours=hours)
    async with home.house.database.begin() as db:
        return await home.house.port(Links).issue(db, home.tenant.id, scope, "order 7", until=until, uses=uses)


async def look(home: Home, token: str, scope: str = RESET, *, rate: str = "") -> str:
    async with home.house.occasion() as ctx:
        return (await home.house.port(Links).look(ctx, scope, token, rate=rate)).subject


async def use(home: Home, token: str, scope: str = RESET) -> str:
    async with home.house.database.begin() as db:
        return (await home.house.port(Links).use(db, scope, token, now=clock.now())).subject


async def test_a_link_says_whose_it_is_and_looking_uses_nothing_up(home: Home) -> None:
    token = await a_link(home)
    assert [await look(home, token) for _ in range(2)] == ["order 7", "order 7"]
    assert await use(home, token) == "order 7"


async def test_a_link_for_one_use_opens_once_even_when_many_come_at_once(home: Home) -> None:
    token = await a_link(home)
    answers = await asyncio.gather(*(use(home, token) for _ in range(5)), return_exceptions=True)
    assert answers.count("order 7") == 1
    assert sum(isinstance(answer, LinkRefused) for answer in answers) == 4
    with pytest.raises(LinkRefused):
        await look(home, token)


async def test_a_use_that_is_undone_leaves_the_link_as_it_was(home: Home) -> None:
    token = await a_link(home)

    async def broken() -> None:
        async with home.house.database.begin() as db:
            await home.house.port(Links).use(db, RESET, token, now=clock.now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()
    assert await use(home, token) == "order 7"


async def test_a_link_for_any_number_of_uses_opens_until_it_expires(home: Home) -> None:
    token = await a_link(home, TRACK, uses=None)
    assert [await use(home, token, TRACK) for _ in range(3)] == 3 * ["order 7"]
    with pytest.raises(LinkRefused):
        await look(home, await a_link(home, TRACK, uses=None, hours=-1), TRACK)


async def test_a_link_opens_nothing_but_its_own_scope(home: Home) -> None:
    token = await a_link(home, TRACK)
    for attempt in (look(home, token, RESET), use(home, token, RESET)):
        with pytest.raises(LinkRefused):
            await attempt


async def test_what_was_not_made_here_or_was_altered_is_refused(home: Home) -> None:
    token = await a_link(home)
    foreign = new_token(b"another house", RESET)
    altered = [
        token[:-1] + ("A" if token[-1] != "A" else "Q"),
        token[:9] + ("A" if token[9] != "A" else "Q") + token[10:],
    ]
    for wrong in (foreign, *altered, token + "A", "", "osl_", token.replace("osl_", "oss_")):
        with pytest.raises(LinkRefused):
            await look(home, wrong)
    assert made_here(b"another house", RESET, foreign)


async def test_the_database_keeps_no_token(home: Home) -> None:
    token = await a_link(home)
    async with home.house.database.begin() as db:
        kept = [str(value) for row in await db.all(text("SELECT * FROM links_link")) for value in row]
    assert kept
    assert not any(part in value for part in (token, token[4:36], token[36:]) for value in kept)


async def test_a_revoked_link_is_refused_and_a_tenant_sees_and_revokes_its_own_only(home: Home) -> None:
    token = await a_link(home)
    async with home.client() as http:
        made = (await http.post("/v1/tenants", json={"slug": "acme", "name": "Acme"})).json()
        async with home.client(secret=made["owner"]["key"]) as neighbour:
            (mine,) = (await http.get("/v1/links", params={"scope": RESET})).json()["items"]
            assert (await neighbour.get("/v1/links")).json()["items"] == []
            assert (await neighbour.delete(f"/v1/links/{mine['id']}")).status_code == 404
        assert await look(home, token) == "order 7"
        gone = await http.delete(f"/v1/links/{mine['id']}")
    assert gone.json()["revoked_at"] is not None
    assert token not in gone.text
    with pytest.raises(LinkRefused):
        await use(home, token)


async def test_a_newer_link_ends_the_ones_before(home: Home) -> None:
    first = await a_link(home)
    async with home.house.database.begin() as db:
        until = clock.now() + timedelta(hours=1)
        second = await home.house.port(Links).renew(db, home.tenant.id, RESET, "order 7", until=until)
    with pytest.raises(LinkRefused):
        await look(home, first)
    assert await look(home, second) == "order 7"


async def test_a_link_that_many_share_has_a_rate_limit_of_its_own(home: Home) -> None:
    shared, other = await a_link(home, TRACK, uses=None), await a_link(home, TRACK, uses=None)
    for _ in range(3):
        await look(home, shared, TRACK, rate="tracking")
    with pytest.raises(RateLimited):
        await look(home, shared, TRACK, rate="tracking")
    assert await look(home, other, TRACK, rate="tracking") == "order 7"


async def test_links_that_ended_a_month_ago_are_dropped(home: Home) -> None:
    await a_link(home, hours=-24 * 31)
    kept = await a_link(home)
    async with home.house.occasion() as ctx:
        assert await home.house.jobs.registry["links.delete_spent"].run(ctx) == 1
    assert await look(home, kept) == "order 7"
