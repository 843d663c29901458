"""Who may speak to us at all: the installation's lists before anybody knows who asks, a tenant's own after that."""

import asyncio
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from ossature.kernel.auth.addresses import AddressRules
from ossature.kernel.auth.countries import Countries
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.house import House
from ossature.kernel.testing.houses import open_house

INSIDE, OUTSIDE = ("192.0.2.7", 50000), ("198.51.100.9", 50000)


def test_deny_wins_over_allow_and_an_empty_allow_list_lets_everybody_in() -> None:
    rules = AddressRules(allow=["192.0.2.0/24", "2001:db8::/32"], deny=["192.0.2.66"])
    asked = ("192.0.2.7", "192.0.2.66", "198.51.100.9", "2001:db8::1", "::ffff:192.0.2.7", "nonsense")

    assert [rules.allows(ip, None, "/v1/jobs") for ip in asked] == [True, False, False, True, True, False]
    assert AddressRules(allow=[], deny=["192.0.2.66"]).allows("198.51.100.9", None, "/")


def test_a_block_that_is_none_is_named_before_the_start() -> None:
    settings = AuthSettings(ip_allow=("192.0.2.0/24",), ip_deny=("nowhere",))
    assert [finding.setting for finding in settings.findings(None)] == ["OSSATURE_AUTH_IP_DENY"]  # type: ignore[arg-type] # it looks at itself only


async def test_a_refused_address_gets_nothing_but_the_probes(tmp_path: Path) -> None:
    settings = [AuthSettings(ip_allow=("192.0.2.0/24",))]
    async with open_house(var_dir=tmp_path, settings=settings) as home:
        async with home.client(peer=OUTSIDE) as http:
            refused = await http.get("/v1/auth/me")
            public = await http.post("/v1/auth/login", json={"email": "a@b.c", "password": "x"})
            probe = await http.get("/health/live")
        async with home.client(peer=INSIDE) as http:
            allowed = (await http.get("/v1/auth/me")).status_code

    assert (refused.status_code, public.status_code, probe.status_code, allowed) == (403, 403, 200, 200)
    assert refused.json()["type"].endswith("/address-denied")


async def test_a_tenants_own_lists_hold_in_every_process(tmp_path: Path, database_url: str) -> None:
    async with (
        open_house(var_dir=tmp_path, database_url=database_url) as home,
        House.open((), home.house.config) as second,
        home.client() as admin,
    ):
        transport = httpx.ASGITransport(app=second.app(), client=INSIDE)
        made = (await admin.post("/v1/tenants", json={"slug": "acme", "name": "Acme"})).json()
        headers = {"authorization": f"Bearer {made['owner']['key']}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://house.test", headers=headers) as owner:
            before = (await owner.get("/v1/auth/me")).status_code
            async with home.client(secret=made["owner"]["key"]) as here:
                await here.patch("/v1/tenants/current", json={"ip_deny": ["192.0.2.0/24"]})
                refused_here = (await here.get("/v1/auth/me")).status_code
            refused_there = 200
            async with asyncio.timeout(60):
                while refused_there == 200:
                    await asyncio.sleep(0.02)
                    refused_there = (await owner.get("/v1/auth/me")).status_code

    assert (before, refused_here, refused_there) == (200, 403, 403)


async def test_some_paths_may_be_asked_for_from_some_blocks_only(tmp_path: Path) -> None:
    settings = [AuthSettings(ip_places={"/v1/tenants": ("198.51.100.0/24",), "/docs": ("203.0.113.0/24",)})]
    async with open_house(var_dir=tmp_path, settings=settings) as home:
        async with home.client(peer=INSIDE) as http:
            paths = ("/v1/tenants", "/v1/tenants/current", "/api/v1/tenants", "/docs", "/v1/auth/me", "/v1/tenantsx")
            inside = [(await http.get(path)).status_code for path in paths]
            batch = {"requests": [{"path": "/v1/tenants"}, {"path": "/v1/auth/me"}]}
            both = (await http.post("/v1/batch", json=batch)).json()["answers"]
        async with home.client(peer=OUTSIDE) as http:
            outside = [(await http.get(path)).status_code for path in ("/v1/tenants", "/v1/tenants/current", "/docs")]

    assert inside == [403, 403, 403, 403, 200, 404]
    assert [one["status"] for one in both] == [403, 200]
    assert outside == [200, 200, 403]


def _mmdb(path: Path, countries: dict[str, str]) -> Path:
    """A file of countries by IPv4 block. Source: the MaxMind DB file format specification, 2.0."""

    def text(value: str) -> bytes:
        return bytes([0x40 | len(value)]) + value.encode()

    def table(**values: bytes) -> bytes:
        return bytes([0xE0 | len(values)]) + b"".join(text(name) + value for name, value in values.items())

    def number(value: int, kind: int = 6) -> bytes:
        size = 4 if kind == 6 else 2
        return bytes([kind << 5 | size]) + value.to_bytes(size)

    data, tree = b"", [[0, 0]]
    for block, code in countries.items():
        network = ip_network(block)
        bits = f"{int(network.network_address):032b}"[: network.prefixlen]
        node = 0
        for bit in bits[:-1]:
            if not tree[node][int(bit)]:
                tree.append([0, 0])
                tree[node][int(bit)] = len(tree) - 1
            node = tree[node][int(bit)]
        tree[node][int(bits[-1])] = -len(data) - 1
        data += table(country=table(iso_code=text(code)))
    count = len(tree)
    records = [count if not one else one if one > 0 else count + 16 - one - 1 for pair in tree for one in pair]
    about = table(
        node_count=number(count),
        record_size=number(24, 5),
        ip_version=number(4, 5),
        database_type=text("Country"),
        languages=bytes([0x00, 0x04]),
        binary_format_major_version=number(2, 5),
        binary_format_minor_version=number(0, 5),
        build_epoch=bytes([0x04, 0x02]) + (1).to_bytes(4),
        description=table(en=text("of a test")),
    )
    whole = b"".join(one.to_bytes(3) for one in records) + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + about
    path.write_bytes(whole)
    return path


async def test_countries_are_let_in_or_refused(tmp_path: Path) -> None:
    path = _mmdb(tmp_path / "countries.mmdb", {"192.0.2.0/24": "CH", "198.51.100.0/24": "FR", "203.0.113.128/25": "AQ"})
    found = Countries(path)
    asked = ("192.0.2.7", "198.51.100.9", "203.0.113.200", "203.0.113.1", "2001:db8::1", "nonsense")
    only = AddressRules(allow=(), deny=("192.0.2.66",), countries=found, country_allow=("CH", "FR"))
    without = AddressRules(allow=(), deny=(), countries=found, country_deny=("FR",))

    assert [found.country(ip) for ip in asked] == ["CH", "FR", "AQ", "", "", ""]
    assert [only.allows(ip, None, "/") for ip in asked] == [True, True, False, True, True, True]
    assert not only.allows("192.0.2.66", None, "/")
    assert [without.allows(ip, None, "/") for ip in asked] == [True, False, True, True, True, True]
    settings = [AuthSettings(country_file=str(path), country_deny=("FR",))]
    async with open_house(var_dir=tmp_path, settings=settings) as home:
        async with home.client(peer=OUTSIDE) as http:
            refused = (await http.get("/v1/auth/me")).status_code, (await http.get("/health/live")).status_code
        async with home.client(peer=INSIDE) as http:
            assert (await http.get("/v1/auth/me")).status_code == 200
    assert refused == (403, 200)


def test_a_file_of_countries_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mmdb"
    damaged.write_bytes(b"no countries")
    for path in (tmp_path / "missing.mmdb", damaged):
        with pytest.raises(Misconfigured, match=path.name):
            Countries(path)
    settings = AuthSettings(country_deny=("FR",), ip_places={"/docs": ("nowhere",)})
    named = [finding.setting for finding in settings.findings(None)]  # type: ignore[arg-type] # it looks at itself only
    assert named == ["OSSATURE_AUTH_COUNTRY_FILE", "OSSATURE_AUTH_IP_PLACES"]
