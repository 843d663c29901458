"""Who comes in, and how those are refused who do not."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.testing.houses import Home

Packed = Callable[[], Awaitable[int]]


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document of an answer, which must be complete."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["type"] == f"http://house.test/problems/{slug}"
    assert found["status"] == status
    assert found["request_id"] == response.headers["x-request-id"]
    assert len(found["trace_id"]) == 32
    assert found["instance"] == response.request.url.path
    assert response.headers["cache-control"] == "no-store"
    return found


async def test_a_request_is_given_an_id_of_its_own(http: httpx.AsyncClient) -> None:
    first, second = [await http.get("/v1/shop/seen") for _ in range(2)]
    assert UUID(first.headers["x-request-id"]).version == 7
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.json()["request_id"] == first.headers["x-request-id"]


@pytest.mark.parametrize("given", ["abc-12345", "A" * 64, "order.7:retry_2"])
async def test_an_id_that_the_caller_chose_is_kept(http: httpx.AsyncClient, given: str) -> None:
    answer = await http.get("/v1/shop/seen", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["short", "A" * 65, "with blanks in it", 'quo"ted-quoted', "é" * 8, ""])
async def test_an_id_that_is_no_id_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    answer = await http.get("/v1/shop/seen", headers={"x-request-id": given.encode()})
    assert UUID(answer.headers["x-request-id"]).version == 7


async def test_a_trace_is_continued_and_named_in_problems(stranger: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await stranger.get("/nowhere", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert problem(answer, 404, "not-found")["trace_id"] == trace
    answer = await stranger.get("/nowhere", headers={"traceparent": "00-not-a-trace"})
    assert problem(answer, 404, "not-found")["trace_id"] != trace


async def test_who_asks_is_known_by_a_key_in_either_header(home: Home) -> None:
    async with home.client(secret=None) as http:
        for headers in ({"authorization": f"Bearer {home.secret}"}, {"x-api-key": home.secret}):
            answer = await http.get("/v1/shop/seen", headers=headers)
            assert answer.json() | {"request_id": ""} == {
                "kind": "key", "tenant": "main", "request_id": "", "ip": "192.0.2.7",
            }  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer oss_unknown"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer oss_"},
        {"x-api-key": "\xff\xfe"},
        {"authorization": "B" * 20_000},
    ],
)
async def test_without_a_good_credential_nobody_comes_in(stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await stranger.get("/v1/shop/seen", headers={k: v.encode("latin-1") for k, v in headers.items()})
    problem(answer, 401, "credential-refused" if headers else "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_bad_credential_is_refused_on_a_public_route_too(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/v1/shop/text")).status_code == 200
    problem(await stranger.get("/v1/shop/text", headers={"x-api-key": "oss_wrong"}), 401, "credential-refused")


async def test_two_credentials_in_one_request_are_refused(http: httpx.AsyncClient) -> None:
    twice = [("authorization", "Bearer one"), ("authorization", "Bearer two")]
    answer = await http.get("/v1/shop/text", headers=twice)
    found = problem(answer, 400, "bad-request")
    assert "authorization" in found["detail"]


async def test_a_key_without_the_permission_is_refused_by_name(home: Home, http: httpx.AsyncClient) -> None:
    made = await http.post("/v1/auth/keys", json={"name": "reader", "roles": ["admin"], "scopes": ["read:orders"]})
    async with home.client(secret=made.json()["secret"]) as reader:
        assert (await reader.get("/v1/shop/seen")).status_code == 200
        answer = await reader.post("/v1/shop/orders", json={"name": "tea"})
        assert problem(answer, 403, "permission-denied")["permission"] == "write:orders"


async def test_an_unknown_path_is_not_found(http: httpx.AsyncClient) -> None:
    for path in ("/", "/v1", "/v1/shop", "/v1/shop/seen/", "/v1/shop/nothing", "/v2/shop/seen", "//v1/shop/seen"):
        assert (await http.get(f"http://house.test{path}")).status_code == 404, path


async def test_a_method_that_a_path_does_not_have_is_named_with_those_that_it_has(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/v1/shop/orders")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert (await http.request("BREW", "/v1/shop/seen")).headers["allow"] == "GET, HEAD"
    assert (await http.options("/v1/shop/seen")).status_code == 405


async def test_what_is_wrong_with_a_body_is_said_with_pointers(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/shop/orders", json={"count": "many", "colour": "red"})
    errors = {one["pointer"]: one["code"] for one in problem(answer, 422, "invalid-input")["errors"]}
    assert errors == {"/name": "missing", "/count": "int_parsing", "/colour": "extra_forbidden"}


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b"[" * 1000, b'{"name": NaN'])
async def test_a_body_that_is_no_json_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/v1/shop/orders", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_of_another_kind_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/shop/orders", content=b"name=tea", headers={"content-type": "text/plain"})
    problem(answer, 422, "invalid-input")


async def test_an_unknown_query_name_is_refused_with_those_that_are_known(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/shop/text?size=5&colour=red&shape=round")
    errors = problem(answer, 422, "invalid-input")["errors"]
    assert [one["pointer"] for one in errors] == ["query/colour", "query/shape"]
    assert "allowed: size" in errors[0]["message"]


@pytest.mark.parametrize("query", ["then=%00", "then=a%1bb", "then=%C2%85"])
async def test_control_characters_in_a_query_are_refused(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.post(f"/v1/shop/orders?{query}", json={"name": "tea"})
    assert problem(answer, 422, "invalid-input")["errors"][0]["code"] == "control_characters"


@pytest.mark.parametrize(("body", "status"), [('"a\\u0000b"', 422), ('"a\\\\u0000b"', 201), ('"a\\\\\\u0000"', 422)])
async def test_a_character_that_no_database_keeps_is_refused(http: httpx.AsyncClient, body: str, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = await http.post("/v1/shop/orders", content=f'{{"name": {body}}}', headers=headers)
    assert answer.status_code == status, answer.text


async def test_escapes_in_a_path_are_read_once(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/v1/shop/orders/caf%C3%A9%20%2541/3")
    assert answer.json() == {"name": "café %41", "count": 3}
    assert (await stranger.get("/v1/shop/orders/a%2Fb/3")).status_code == 404
    assert (await stranger.get("/v1/shop/orders/..%2F..%2Fseen/3")).status_code == 404
    problem(await stranger.get("/v1/shop/orders/a%00b/3"), 422, "invalid-input")
    problem(await stranger.get("/v1/shop/orders/a/three"), 422, "invalid-input")


async def test_a_failure_of_ours_says_nothing_about_itself(http: httpx.AsyncClient, packed: Packed) -> None:
    answer = await http.post("/v1/shop/orders?then=break", json={"name": "tea"})
    found = problem(answer, 500, "problem")
    assert found["title"] == "Internal error"
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert await packed() == 0


async def test_a_refusal_carries_its_facts(http: httpx.AsyncClient, packed: Packed) -> None:
    found = problem(await http.post("/v1/shop/orders?then=refuse", json={"name": "tea"}), 409, "sold-out")
    assert (found["detail"], found["left"]) == ("No tea.", 0)
    assert await packed() == 0


async def test_a_route_that_takes_longer_than_its_own_limit_is_stopped(http: httpx.AsyncClient, packed: Packed) -> None:
    problem(await http.post("/v1/shop/slow"), 503, "took-too-long")
    assert await packed() == 0


async def test_too_large_a_body_is_refused_by_what_it_announces(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/shop/orders", json={"name": "x" * 3000})
    assert problem(answer, 413, "content-too-large")["limit_bytes"] == 2048
    assert answer.headers["connection"] == "close"


async def test_too_large_a_body_is_refused_while_it_comes(http: httpx.AsyncClient, packed: Packed) -> None:
    async def endless() -> Any:
        while True:
            yield b" " * 1000

    answer = await http.post("/v1/shop/orders", content=endless(), headers={"content-type": "application/json"})
    problem(answer, 413, "content-too-large")
    problem(await http.post("/v1/shop/raw", content=endless()), 413, "content-too-large")
    assert await packed() == 0


async def test_raw_mounts_pass_the_same_admission(home: Home, stranger: httpx.AsyncClient) -> None:
    problem(await stranger.post("/v1/shop/raw"), 401, "unauthenticated")
    problem(await stranger.get("/v1/shop/below/the/stairs"), 401, "unauthenticated")
    async with home.client() as http:
        answer = await http.post("/v1/shop/raw", content=b"x" * 99)
        assert answer.text == "key 99"
        assert answer.headers["x-content-type-options"] == "nosniff"
        problem(await http.post("/v1/shop/raw", content=b"x" * 101), 413, "content-too-large")
        problem(await http.delete("/v1/shop/raw"), 405, "method-not-allowed")
        assert (await http.get("/v1/shop/below/the/stairs")).text == "key 0"
        assert (await http.get("/v1/shop/below")).text == "key 0"
    for _ in range(3):
        assert (await stranger.get("/v1/shop/raw-window")).status_code == 200
    problem(await stranger.get("/v1/shop/raw-window"), 429, "rate-limited")


async def test_a_rate_limit_is_announced_counted_down_and_enforced(stranger: httpx.AsyncClient) -> None:
    answers = [await stranger.get("/v1/shop/window") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert '"window-3600";q=3;w=3600' in answers[0].headers["ratelimit-policy"]
    assert [one.headers["ratelimit"].split(";")[1] for one in answers] == ["r=2", "r=1", "r=0", "r=0"]
    found = problem(answers[3], 429, "rate-limited")
    assert 0 < found["retry_after_s"] <= 7200
    assert 1 <= int(answers[3].headers["retry-after"]) <= 7200


async def test_callers_are_limited_each_for_themselves(home: Home) -> None:
    for peer in ("192.0.2.1", "192.0.2.2"):
        async with home.client(secret=None, peer=(peer, 1)) as http:
            assert [(await http.get("/v1/shop/window")).status_code for _ in range(4)] == [200, 200, 200, 429]


async def test_an_address_is_believed_only_from_our_proxies(home: Home) -> None:
    headers = {"x-forwarded-for": "203.0.113.9, 198.51.100.2"}
    async with home.client(peer=("192.0.2.7", 1), headers=headers) as http:
        assert (await http.get("/v1/shop/seen")).json()["ip"] == "192.0.2.7"
    async with home.client(peer=("127.0.0.1", 1), headers=headers) as http:
        assert (await http.get("/v1/shop/seen")).json()["ip"] == "198.51.100.2"
        lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "127.0.0.1")]
        assert (await http.get("/v1/shop/seen", headers=lines)).json()["ip"] == "203.0.113.9"
        assert (await http.get("/v1/shop/seen", headers={"x-forwarded-for": "nonsense"})).json()["ip"] == "127.0.0.1"
    async with home.client(peer=("::ffff:127.0.0.1", 1), headers=headers) as http:  # of a socket for both families
        assert (await http.get("/v1/shop/seen")).json()["ip"] == "198.51.100.2"
        mapped = {"x-forwarded-for": "203.0.113.9, ::ffff:127.0.0.1"}
        assert (await http.get("/v1/shop/seen", headers=mapped)).json()["ip"] == "203.0.113.9"


class Fence:
    """Addresses that are let in, and what was noted of them."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def allows(self, ip: str, tenant_id: UUID | None, path: str) -> bool:
        return ip != "192.0.2.66" and not (tenant_id is not None and path == "/v1/shop/tagged")

    def note_failure(self, ip: str, kind: str) -> None:
        self.noted.append((ip, kind))


async def test_addresses_are_asked_about_before_and_after_credentials(home: Home) -> None:
    fence = Fence()
    home.app.edge.keepers = replace(home.app.edge.keepers, addresses=fence)
    async with home.client(secret="oss_wrong", peer=("192.0.2.66", 1)) as http:
        problem(await http.get("/v1/shop/text"), 403, "address-denied")
    async with home.client() as http:
        problem(await http.get("/v1/shop/tagged"), 403, "address-denied")
        assert (await http.get("/v1/shop/seen")).status_code == 200
        await http.get("/wp-login.php")
    async with home.client(secret="oss_wrong") as http:
        await http.get("/v1/shop/seen")
    async with home.client(secret=None) as http:
        for _ in range(4):
            await http.get("/v1/shop/window")
    assert [kind for _, kind in fence.noted] == ["not_found", "unauthenticated", "rate_limited"]


async def test_the_order_of_admission_is_kept(home: Home, stranger: httpx.AsyncClient) -> None:
    """Size before credentials' permission, permission before rate limit, rate limit before the body is read."""
    big = b"x" * 3000
    problem(await stranger.post("/v1/shop/orders", content=big), 413, "content-too-large")
    async with home.client(secret="oss_wrong") as http:
        problem(await http.post("/v1/shop/orders", content=big), 401, "credential-refused")
    for _ in range(200):
        problem(await stranger.get("/v1/shop/seen"), 401, "unauthenticated")
    for _ in range(3):
        await stranger.get("/v1/shop/window")
    answer = await stranger.get("/v1/shop/window?colour=red")
    problem(answer, 429, "rate-limited")


async def test_the_versions_alias_answers_as_the_version(home: Home) -> None:
    async with home.client() as http:
        assert (await http.get("/api/v1/shop/seen")).json()["kind"] == "key"
        assert (await http.get("/api/shop/seen")).status_code == 404


async def test_unversioned_aliases_are_switched_on_by_a_setting(open_shop: Any) -> None:
    async with open_shop(settings=[HttpSettings(legacy_api=True)]) as home, home.client() as http:
        assert (await http.get("/api/shop/seen")).json()["kind"] == "key"
        assert (await http.get("/api/v1/shop/seen")).json()["kind"] == "key"
