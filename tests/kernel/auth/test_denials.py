"""Addresses that fail as abuse does are refused for a while, by every process; operators see it, and can lift it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from ossature.kernel import clock
from ossature.kernel.auth.denials.domain import counted_as
from ossature.kernel.auth.denials.jobs import FORGET_ADDRESSES
from ossature.kernel.auth.denials.watch import Watch
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.house import House
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import Home, open_house

OFFENDER, NEIGHBOUR = ("198.51.100.9", 50000), ("198.51.100.10", 50000)
STRICT = AuthSettings(abuse_failures=10, bad_credentials_per_minute=0)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def fail(http: httpx.AsyncClient, times: int) -> list[int]:
    """Show a credential that nobody knows; the statuses."""
    headers = {"authorization": "Bearer oss_wrong"}
    return [(await http.get("/v1/auth/me", headers=headers)).status_code for _ in range(times)]


async def test_who_guesses_is_refused_by_all_processes_until_an_operator_lifts_it(
    tmp_path: Path, database_url: str
) -> None:
    before = REGISTRY.get_sample_value("auth_addresses_denied_total") or 0
    async with (
        open_house(var_dir=tmp_path, database_url=database_url, settings=[STRICT]) as home,
        House.open((), home.house.config) as second,
        home.client() as admin,
        home.client(secret=None, peer=OFFENDER) as here,
        home.client(peer=NEIGHBOUR) as neighbour,
    ):
        transport = httpx.ASGITransport(app=second.app(), client=OFFENDER)
        async with httpx.AsyncClient(transport=transport, base_url="http://house.test") as there:
            assert set(await fail(here, 5) + await fail(there, 5)) == {401}  # neither process saw ten of them

            async def refused() -> bool:
                answers = [await http.get("/docs") for http in (here, there)]
                return all(answer.status_code == 403 for answer in answers)

            await until(refused)
            denied = await here.get("/docs")
            probe = await here.get("/health/live")
            others = await neighbour.get("/v1/auth/me")
            listed = (await admin.get("/v1/auth/denied-addresses")).json()["items"]
            told = (await admin.get("/v1/platform/nothing")).status_code
            lifted = await admin.delete("/v1/auth/denied-addresses/198.51.100.9")
            again = await admin.delete("/v1/auth/denied-addresses/198.51.100.9")

            async def welcome() -> bool:
                answers = [await http.get("/docs") for http in (here, there)]
                return all(answer.status_code == 200 for answer in answers)

            await until(welcome)
        of_the_house = text("SELECT what FROM audit_entry WHERE action = 'address.denied' AND actor_kind = 'system'")
        async with home.house.database.begin() as db:
            recorded = [row.what for row in await db.all(of_the_house)]
        actions = [entry["action"] for entry in (await admin.get("/v1/audit")).json()["items"]]

    assert denied.json()["type"].endswith("/address-denied")
    assert (probe.status_code, others.status_code, told) == (200, 200, 404)
    assert [(one["address"], one["failures"]) for one in listed] == [("198.51.100.9", 10)]
    assert (lifted.status_code, again.status_code) == (204, 404)
    assert again.json()["type"].endswith("/address-not-denied")
    assert "address.lifted" in actions
    assert recorded == ["address:198.51.100.9"]
    assert (REGISTRY.get_sample_value("auth_addresses_denied_total") or 0) - before == 1


async def count(home: Home, ip: str, times: int, kind: str = "unauthenticated") -> Watch:
    watch = home.house.port(Watch)
    for _ in range(times):
        watch.note(ip, kind)
    await watch.share()
    await watch.read()
    return watch


async def test_a_denial_and_its_failures_expire(tmp_path: Path) -> None:
    with clock.using(FakeClock()) as time:
        async with open_house(var_dir=tmp_path, settings=[STRICT]) as home:
            watch = await count(home, "198.51.100.9", 9)
            assert watch.refuses("198.51.100.9") == 0
            time.advance(601)
            assert (await count(home, "198.51.100.9", 9)).refuses("198.51.100.9") == 0  # the first nine are long ago
            assert (await count(home, "198.51.100.9", 1)).refuses("198.51.100.9") == 900
            time.advance(899)
            assert watch.refuses("198.51.100.9") == 1
            time.advance(2)
            assert watch.refuses("198.51.100.9") == 0
            async with home.house.occasion() as ctx:
                forgotten = await FORGET_ADDRESSES.run(ctx)
    assert forgotten == 1


async def test_what_counts_and_who_is_exempt(tmp_path: Path) -> None:
    async with open_house(var_dir=tmp_path, settings=[STRICT]) as home:
        for ip, kind in (("198.51.100.1", "old_session"), ("10.1.2.3", "unauthenticated"), ("127.0.0.1", "not_found")):
            assert (await count(home, ip, 50, kind)).refuses(ip) == 0
        for ip, kind in (("198.51.100.2", "rate_limited"), ("198.51.100.3", "not_found")):
            assert (await count(home, ip, 10, kind)).refuses(ip) > 0
        assert (await count(home, "2001:db8:1:2:3::4", 10)).refuses("2001:db8:1:2:ffff::1") > 0
        assert home.house.port(Watch).refuses("2001:db8:1:3::1") == 0
    never = AuthSettings(abuse_failures=0)
    async with open_house(var_dir=tmp_path / "other", settings=[never]) as home:
        assert (await count(home, "198.51.100.2", 1000)).refuses("198.51.100.2") == 0


@pytest.mark.parametrize(
    ("ip", "counted"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1:2:3:4", "2001:db8::"), ("x", "x")],
)
def test_of_ipv6_one_caller_has_a_whole_network(ip: str, counted: str) -> None:
    assert counted_as(ip) == counted


async def test_unknown_credentials_are_not_looked_up_for_ever(tmp_path: Path) -> None:
    settings = AuthSettings(abuse_failures=0, bad_credentials_per_minute=3)
    with clock.using(FakeClock()) as time:
        async with (
            open_house(var_dir=tmp_path, settings=[settings]) as home,
            home.client(peer=OFFENDER) as known,
            home.client(secret=None, peer=OFFENDER) as http,
            home.client(secret="oss_other", peer=NEIGHBOUR) as neighbour,
        ):
            assert (await known.get("/v1/auth/me")).status_code == 200
            looked_up = REGISTRY.get_sample_value("auth_credentials_total", {"kind": "key", "outcome": "refused"}) or 0
            assert await fail(http, 5) == [401, 401, 401, 429, 429]
            answer = await http.get("/v1/auth/me", headers={"authorization": "Bearer oss_more"})
            asked = REGISTRY.get_sample_value("auth_credentials_total", {"kind": "key", "outcome": "refused"}) or 0
            remembered = await known.get("/v1/auth/me")
            elsewhere = await neighbour.get("/v1/auth/me")
            time.advance(61)
            later = await fail(http, 1)

    assert (answer.json()["type"].rpartition("/")[2], answer.headers["retry-after"]) == ("rate-limited", "60")
    assert asked - looked_up == 3
    assert (remembered.status_code, elsewhere.status_code, later) == (200, 401, [401])
