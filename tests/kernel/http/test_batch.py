"""A batch: many requests in one, each with the caller's rights and limits, each answered by itself."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.testing.houses import Home
from tests.kernel.http import shop
from tests.kernel.http.conftest import OpenShop, count_packed

Packed = Callable[[], Awaitable[int]]


async def batched(http: httpx.AsyncClient, *requests: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    headers = more.pop("headers", None)
    answer = await http.post("/v1/batch", json={"requests": list(requests), **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["answers"]
    return found


def an_order(name: str = "tea", *, then: str = "", **more: Any) -> dict[str, Any]:
    return {"method": "POST", "path": f"/v1/shop/orders?then={then}", "body": {"name": name}, **more}


def kinds(answers: list[dict[str, Any]]) -> list[str]:
    return [str(one["body"].get("type", "")).rpartition("/")[2] for one in answers]


@pytest.fixture(autouse=True)
def nobody_is_let_go() -> Iterator[None]:
    shop.LET_GO.clear()
    yield
    shop.LET_GO.clear()


async def test_each_request_is_answered_by_itself_and_one_that_fails_undoes_no_other(
    http: httpx.AsyncClient, packed: Packed
) -> None:
    answers = await batched(
        http,
        {"id": "who", "path": "/v1/shop/seen"},
        an_order("tea"),
        an_order("tea", then="refuse"),
        an_order("tea", then="break"),
        {"path": "/v1/shop/nothing"},
        {"method": "POST", "path": "/v1/shop/orders", "body": {"nom": "tea"}},
        {"method": "DELETE", "path": "/v1/shop/seen"},
        {"path": "/v1/shop/text?size=3"},
    )

    assert [one["status"] for one in answers] == [200, 201, 409, 500, 404, 422, 405, 200]
    assert [one["id"] for one in answers] == ["who", "1", "2", "3", "4", "5", "6", "7"]
    assert answers[1]["body"] == {"name": "tea", "count": 1}
    assert answers[7]["body"] == "xxx"
    assert answers[0]["headers"]["x-request-id"].endswith(".0")
    assert "secret" not in str(answers[3])
    assert await packed() == 1


async def test_requests_have_the_rights_of_the_caller_and_no_others(home: Home) -> None:
    async with home.client() as admin:
        made = (await admin.post("/v1/auth/keys", json={"name": "reader", "scopes": ["read:orders"]})).json()
    async with home.client(secret=made["secret"]) as reader:
        answers = await batched(reader, {"path": "/v1/shop/seen"}, an_order())
    assert [one["status"] for one in answers] == [200, 403]
    async with home.client(secret=None) as stranger:
        assert (await stranger.post("/v1/batch", json={"requests": [{"path": "/v1/shop/seen"}]})).status_code == 401


async def test_there_is_no_batch_in_a_batch(http: httpx.AsyncClient) -> None:
    inner = {"requests": [{"path": "/v1/shop/seen"}]}
    answers = await batched(
        http, *({"method": "POST", "path": path, "body": inner} for path in ("/v1/batch", "/v1/%62atch"))
    )

    assert kinds(answers) == ["batch-in-batch", "batch-in-batch"]


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/metrics"},
        {"path": "//elsewhere/v1/x"},
        {"path": "http://x/v1/y"},
        {"path": "/v1/x", "method": "TRACE"},
    ],
)
async def test_what_is_no_request_to_the_api_is_refused(http: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    assert (await http.post("/v1/batch", json={"requests": [request_]})).status_code == 422


async def test_a_batch_has_one_request_to_a_hundred(http: httpx.AsyncClient) -> None:
    one = {"path": "/v1/shop/text?size=1"}
    assert (await http.post("/v1/batch", json={"requests": []})).status_code == 422
    assert (await http.post("/v1/batch", json={"requests": [one] * 101})).status_code == 422
    assert [found["status"] for found in await batched(http, *[one] * 100)] == [200] * 100


async def test_what_waits_for_one_that_failed_is_not_begun(http: httpx.AsyncClient, packed: Packed) -> None:
    answers = await batched(
        http,
        an_order(id="good"),
        an_order(id="bad", then="refuse"),
        an_order(id="after-good", after=["good"]),
        an_order(id="after-bad", after=["good", "bad"]),
        an_order(id="after-that", after=["after-bad"]),
    )
    assert [one["status"] for one in answers] == [201, 409, 201, 424, 424]
    assert kinds(answers)[3:] == ["not-run", "not-run"]
    assert await packed() == 2

    ordered = await batched(http, an_order(), an_order(then="refuse"), an_order(), in_order=True)
    assert [one["status"] for one in ordered] == [201, 409, 424]


@pytest.mark.parametrize(
    "requests",
    [
        [{"path": "/v1/shop/seen", "after": ["later"]}, {"path": "/v1/shop/seen", "id": "later"}],
        [{"path": "/v1/shop/seen", "id": "self", "after": ["self"]}],
        [{"path": "/v1/shop/seen", "id": "twice"}, {"path": "/v1/shop/seen", "id": "twice"}],
        [{"path": "/v1/shop/seen"}, {"path": "/v1/shop/seen", "id": "0"}],
    ],
)
async def test_one_waits_only_for_those_before_it(http: httpx.AsyncClient, requests: list[dict[str, Any]]) -> None:
    assert (await http.post("/v1/batch", json={"requests": requests})).status_code == 422


async def test_requests_that_do_not_wait_run_at_the_same_time(http: httpx.AsyncClient) -> None:
    # The first one ends only when the second is under way: one after the other they would wait for ever.
    answers = await batched(http, an_order(then="wait"), {"method": "POST", "path": "/v1/shop/let-go"})

    assert [one["status"] for one in answers] == [201, 204]


async def test_equal_reads_are_asked_once(http: httpx.AsyncClient) -> None:
    seen = {"path": "/v1/shop/seen"}
    first, second, other, later = await batched(http, seen, seen, {"path": "/v1/shop/text"}, {**seen, "after": ["0"]})

    assert first["body"]["request_id"] == second["body"]["request_id"]
    assert later["body"]["request_id"] != first["body"]["request_id"]
    assert other["status"] == 200


async def test_each_request_counts_against_the_limits_of_the_caller(http: httpx.AsyncClient) -> None:
    answers = await batched(http, *({"path": f"/v1/shop/raw-window?number={number}"} for number in range(5)))

    assert sorted(one["status"] for one in answers) == [200, 200, 200, 429, 429]
    assert all("retry-after" in one["headers"] for one in answers if one["status"] == 429)


async def test_a_batch_that_is_sent_again_does_what_is_left_of_it(home: Home, http: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "the-batch-of-monday"}
    first = await batched(http, an_order("tea"), an_order("milk", then="refuse"), headers=key)
    again = await batched(http, an_order("tea"), an_order("milk", then="refuse"), headers=key)
    other = await batched(http, an_order("tea"), headers={"idempotency-key": "tuesday"})

    assert [one["status"] for one in (*first, *again, *other)] == [201, 409, 201, 409, 201]
    assert again[0]["body"] == first[0]["body"]
    assert await count_packed(home) == 2


async def test_what_is_not_there_in_time_is_said_and_undone(open_shop: OpenShop) -> None:
    async with open_shop(settings=[HttpSettings(batch_time_limit_s=1.0)]) as home, home.client() as http:
        answers = await batched(
            http, {"path": "/v1/shop/seen"}, an_order(then="wait"), an_order(id="last", after=["1"])
        )
        assert await count_packed(home) == 0
        assert [one["status"] for one in answers] == [200, 503, 503]
        assert kinds(answers)[1:] == ["took-too-long", "took-too-long"]


async def test_an_answer_that_goes_on_for_ever_is_no_part_of_a_batch(http: httpx.AsyncClient) -> None:
    answers = await batched(http, {"path": "/v1/shop/stream?kind=text/event-stream"}, {"path": "/v1/shop/seen"})

    assert [one["status"] for one in answers] == [406, 200]


async def test_answers_together_have_an_end(http: httpx.AsyncClient) -> None:
    answers = await batched(http, *({"path": f"/v1/shop/text?size={1_000_000 - place}"} for place in range(10)))

    assert {one["status"] for one in answers} == {200, 406}
    assert sum(len(one["body"]) for one in answers if one["status"] == 200) <= 8 * 1024 * 1024


async def test_validators_work_in_a_batch(http: httpx.AsyncClient) -> None:
    (known,) = await batched(http, {"path": "/v1/shop/tagged"})
    tag = known["headers"].get("etag")
    (again,) = await batched(http, {"path": "/v1/shop/tagged", "if_none_match": tag})

    assert (again["status"], again["body"]) == (304, None)
