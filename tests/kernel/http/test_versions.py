"""Versions: a second one beside the first, and what is said of routes that will go one day."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse

from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import Misconfigured, NotFound
from ossature.kernel.http.policy import deprecated, policy
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.service import Deprecation, Mount, Policy, Service
from ossature.kernel.testing.houses import open_house

first, second = APIRouter(tags=["mill"]), APIRouter(tags=["mill"])


@first.get("/sacks/{sack_id}")
@policy(public=True)
async def read_sack(sack_id: str) -> dict[str, str]:
    if sack_id == "none":
        raise NotFound
    return {"flour": sack_id}


@second.get("/sacks/{sack_id}")
@policy(public=True)
async def read_sack_anew(sack_id: str) -> dict[str, dict[str, str]]:
    return {"flour": {"id": sack_id}}


@first.get("/stones")
@policy(allow="*")
async def list_stones(ctx: CurrentCtx) -> list[str]:
    return [ctx.tenant.slug]


@second.get("/wheels")
@deprecated(date(2030, 1, 1), successor="/v2/mill/sacks/wheel")
@policy(public=True)
async def list_wheels() -> list[str]:
    return []


END = Deprecation(since=date(2027, 3, 1), sunset=date(2028, 3, 1))
MILL = Service(
    name="mill",
    router=first,
    versions={2: second},
    deprecated={1: END},
    mounts=(
        Mount(
            path="/v1/mill/raw",
            build=lambda _: PlainTextResponse("raw"),
            policy=Policy(public=True, deprecated=Deprecation(since=date(2029, 1, 1))),
            openapi={"/v1/mill/raw": {"get": {"responses": {"200": {"description": "Raw."}}}}},
        ),
    ),
)


@pytest.fixture
async def http(tmp_path: Path, sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    settings = [HttpSettings(legacy_api=True)]
    async with (
        open_house(MILL, var_dir=tmp_path, database_url=sqlite_url, settings=settings) as home,
        home.client() as http,
    ):
        yield http


def _used(path: str, tenant: str) -> float:
    labels = {"method": "GET", "endpoint": path, "tenant": tenant}
    return REGISTRY.get_sample_value("http_deprecated_requests_total", labels) or 0.0


async def test_two_versions_stand_beside_each_other_also_below_api(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/mill/sacks/7")).json() == {"flour": "7"}
    assert (await http.get("/v2/mill/sacks/7")).json() == {"flour": {"id": "7"}}
    assert (await http.get("/api/v2/mill/sacks/7")).json() == {"flour": {"id": "7"}}
    assert (await http.get("/api/v1/mill/sacks/7")).json() == {"flour": "7"}
    assert (await http.get("/api/mill/sacks/7")).json() == {"flour": "7"}
    assert (await http.get("/v2/mill/stones")).status_code == 404
    assert (await http.get("/v3/mill/sacks/7")).status_code == 404


async def test_answers_of_a_deprecated_version_say_since_when_until_when_and_what_comes_instead(
    http: httpx.AsyncClient,
) -> None:
    for sack, status in (("7 8", 200), ("none", 404)):
        answer = await http.get(f"/v1/mill/sacks/{sack}")

        assert answer.status_code == status
        assert answer.headers["deprecation"] == f"@{int(datetime(2027, 3, 1, tzinfo=UTC).timestamp())}"
        assert parsedate_to_datetime(answer.headers["sunset"]) == datetime(2028, 3, 1, tzinfo=UTC)
        links = answer.headers.get_list("link")
        assert f'</v2/mill/sacks/{sack.replace(" ", "%20")}>; rel="successor-version"' in links
        assert '<http://house.test/reference/deprecated>; rel="deprecation"; type="text/html"' in links


async def test_what_stays_says_nothing_and_what_has_no_successor_names_none(http: httpx.AsyncClient) -> None:
    stays = await http.get("/v2/mill/sacks/7")
    assert not {"deprecation", "sunset", "link"} & set(stays.headers)

    assert "successor" not in (await http.get("/v1/mill/stones")).headers["link"]


async def test_one_route_and_a_mount_are_deprecated_by_themselves(http: httpx.AsyncClient) -> None:
    wheels, raw = await http.get("/v2/mill/wheels"), await http.get("/v1/mill/raw")

    assert '</v2/mill/sacks/wheel>; rel="successor-version"' in wheels.headers["link"]
    assert "sunset" not in wheels.headers
    assert raw.headers["deprecation"] == f"@{int(datetime(2029, 1, 1, tzinfo=UTC).timestamp())}"


async def test_who_uses_a_deprecated_route_is_counted(http: httpx.AsyncClient) -> None:
    tenant = (await http.get("/v1/mill/stones")).json()[0]
    before = _used("/v1/mill/sacks/{sack_id}", tenant)
    for sack in ("7", "8"):
        await http.get(f"/v1/mill/sacks/{sack}")

    assert _used("/v1/mill/sacks/{sack_id}", tenant) == before + 2
    assert _used("/v2/mill/sacks/{sack_id}", tenant) == 0


async def test_the_documents_say_so_for_each_version(http: httpx.AsyncClient) -> None:
    whole, one, two = [
        (await http.get("/openapi.json", params=query)).json()["paths"]
        for query in ({}, {"version": 1}, {"version": 2})
    ]

    assert set(two) == {"/v2/mill/sacks/{sack_id}", "/v2/mill/wheels"}
    assert "/v1/mill/stones" in one
    assert set(one) | set(two) <= set(whole)
    old = whole["/v1/mill/sacks/{sack_id}"]["get"]
    assert (old["deprecated"], old["x-sunset"], old["x-successor"]) == (True, "2028-03-01", "/v2/mill/sacks/{sack_id}")
    assert whole["/v1/mill/raw"]["get"]["deprecated"] is True
    assert "deprecated" not in whole["/v2/mill/sacks/{sack_id}"]["get"]
    ids = [
        operation["operationId"] for item in whole.values() for operation in item.values() if "operationId" in operation
    ]
    assert len(ids) == len(set(ids))
    assert (await http.get("/openapi.json?version=3")).status_code == 404
    page = (await http.get("/reference/deprecated")).text
    assert "/v1/mill/stones" in page
    assert "2028-03-01" in page


async def test_versions_that_make_no_sense_do_not_start(tmp_path: Path, sqlite_url: str) -> None:
    for wrong in (Service(name="mill", versions={1: second}), Service(name="mill", deprecated={2: END})):
        with pytest.raises(Misconfigured):
            async with open_house(wrong, var_dir=tmp_path, database_url=sqlite_url):
                pass
        (tmp_path / "again").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="before it is deprecated"):
        Deprecation(since=date(2028, 1, 2), sunset=date(2028, 1, 1))
    with pytest.raises(ValueError, match="above @policy"):
        deprecated(date(2028, 1, 1))(read_sack.__class__)
