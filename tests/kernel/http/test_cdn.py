"""What a CDN is told: the names of what it keeps, and which of them are old."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from ossature.kernel.context import SYSTEM
from ossature.kernel.http.caching import surrogate
from ossature.kernel.http.cdn import Cdn, PurgeRefused, purge
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.outbound.settings import OutboundSettings
from tests.kernel.http.conftest import OpenShop

KEY = "Fastly-Key: not-everybody-may-purge"


@dataclass
class Front:
    """A CDN on loopback: what it was asked, and what it answers."""

    status: int = 200
    url: str = ""
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        key = request.headers.get("fastly-key", "")
        self.asked.append((request.method, request.rel_url.raw_path, key, json.loads(body) if body else None))
        return web.Response(status=self.status)


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    cdn = Front()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", cdn.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    cdn.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield cdn
    await runner.cleanup()


def settings(front: Front, **more: Any) -> list[Any]:
    private = OutboundSettings(private_hosts=["127.0.0.1"])
    url = f"{front.url}/service/7/purge/{{key}}"
    return [private, HttpSettings(**{"cdn_purge_url": url, "cdn_purge_header": SecretStr(KEY), **more})]


async def test_what_changed_is_purged_after_the_transaction_by_its_key(open_shop: OpenShop, front: Front) -> None:
    async with open_shop(settings=settings(front)) as home:
        house = home.house
        async with house.occasion(home.tenant, SYSTEM) as ctx:
            await purge(ctx, "rounds", "round/7")
            assert front.asked == []
        await house.worker(["default"]).run_due()
    assert front.asked == [
        ("POST", "/service/7/purge/rounds", "not-everybody-may-purge", None),
        ("POST", "/service/7/purge/round%2F7", "not-everybody-may-purge", None),
    ]


async def test_a_cdn_that_wants_a_body_gets_one(open_shop: OpenShop, front: Front) -> None:
    more = {"cdn_purge_url": f"{front.url}/purge", "cdn_purge_method": "PUT", "cdn_purge_body": '{"tags": ["{key}"]}'}
    async with open_shop(settings=settings(front, **more)) as home:
        await home.house.port(Cdn).purge(['say"so'])  # type: ignore[type-abstract] # a promise
    assert front.asked == [("PUT", "/purge", "not-everybody-may-purge", {"tags": ['say"so']})]


async def test_a_cdn_that_refuses_is_told_again(open_shop: OpenShop, front: Front) -> None:
    front.status = 503
    async with open_shop(settings=settings(front)) as home:
        with pytest.raises(PurgeRefused, match="503"):
            await home.house.port(Cdn).purge(["rounds"])  # type: ignore[type-abstract] # a promise


async def test_without_a_cdn_nothing_waits_to_be_purged(open_shop: OpenShop) -> None:
    async with open_shop() as home:
        async with home.house.occasion(home.tenant, SYSTEM) as ctx:
            await purge(ctx, "rounds")
        async with home.house.database.begin() as db:
            assert await home.house.jobs.queues(db) == []


async def test_public_pages_carry_their_keys_also_when_they_have_not_changed(open_shop: OpenShop) -> None:
    async with open_shop() as home, home.client(secret=None) as http:
        page = await http.get("/problems")
        again = await http.get("/problems", headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 304
    assert page.headers["surrogate-key"] == again.headers["surrogate-key"] == "docs"


@pytest.mark.parametrize("key", ["two words", "", "line\r\nset-cookie: a=b", "caf\u00e9"])
def test_a_key_that_would_be_two_or_another_header_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="no surrogate key"):
        surrogate("good", key)
