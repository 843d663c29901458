"""The short way answers as FastAPI's own way does."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import orjson
import pytest
from fastapi import Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.short import hand_over_ctx, short_handler

CTX: Any = object()


class Trip(BaseModel):
    id: int
    at: datetime
    note: str = Field(serialization_alias="Note")


@dataclass
class Leg:
    fare: Decimal
    day: date


TRIP = Trip(id=7, at=datetime(2026, 3, 1, tzinfo=UTC), note="x")


async def answer_typed() -> Trip:
    return TRIP


async def answer_read_from_attributes() -> Trip:
    return TRIP.model_copy(update={"id": 8})


async def answer_dict():  # type: ignore[no-untyped-def] # noqa: ANN201 - the case at hand
    return {
        "at": TRIP.at,
        "id": UUID(int=7),
        "trip": TRIP,
        "leg": Leg(Decimal("1.50"), date(2026, 3, 1)),
        "set": {1},
        5: None,
    }


async def answer_list() -> list[int]:
    return [1, 2, 3]


async def answer_nothing() -> None:
    return None


async def answer_response() -> Response:
    return Response(b"raw", media_type="text/plain", headers={"x-own": "1"})


async def read_parameters(
    number: int,
    day: date,
    names: Annotated[list[str], Query()],
    many: bool = False,
    most: Annotated[int, Query(le=5)] = 3,
) -> dict[str, Any]:
    return {"number": number, "day": day, "names": names, "many": many, "most": most}


async def read_request(request: Request, ctx: CurrentCtx) -> list[str]:
    return [request.url.path, str(ctx is CTX)]


async def answer_wrongly() -> Trip:
    return {"id": "no number"}  # type: ignore[return-value] # the case at hand


def request_of(path: str = "/", query: str = "", **path_params: str) -> Request:
    return Request(
        {
            "type": "http", "method": "GET", "path": path, "headers": [], "query_string": query.encode(),
            "path_params": path_params, "ossature.ctx": CTX, "server": ("house.test", 80), "scheme": "http",
        }
    )  # fmt: skip


async def both(
    endpoint: Callable[..., Any], request: Callable[[], Request], *, path: str = "/", **options: Any
) -> list[Response]:
    """What the short way and the long way answer."""
    plain = APIRoute(path, endpoint, **options)
    quick = APIRoute(path, endpoint, **options)
    hand_over_ctx(quick.dependant)
    short = short_handler(quick)
    assert short is not None
    answers = []
    for handler in (short, plain.get_route_handler()):
        async with AsyncExitStack() as stack:
            asked = request()
            for name in ("middleware", "inner", "function"):
                asked.scope[f"fastapi_{name}_astack"] = stack
            answers.append(await handler(asked))
    return answers


@pytest.mark.parametrize(
    "endpoint", [answer_typed, answer_read_from_attributes, answer_dict, answer_list, answer_nothing, answer_response]
)
async def test_an_answer_is_the_same_on_both_ways(endpoint: Callable[..., Any]) -> None:
    short, long = await both(endpoint, request_of)
    assert short.status_code == long.status_code
    assert short.media_type == long.media_type or endpoint is answer_dict
    if short.media_type == "text/plain":
        assert short.body == long.body
    else:
        assert orjson.loads(short.body) == orjson.loads(long.body)
    assert {k: v for k, v in short.headers.items() if k != "content-length"} == {
        k: v for k, v in long.headers.items() if k != "content-length"
    }


async def test_parameters_are_read_and_checked_alike() -> None:
    def good() -> Request:
        return request_of(query="names=a&names=b&many=yes", number="5", day="2026-03-01")

    short, long = await both(read_parameters, good, path="/{number}/{day}")
    assert orjson.loads(short.body) == orjson.loads(long.body)
    assert orjson.loads(short.body)["names"] == ["a", "b"]

    def bad() -> Request:
        return request_of(query="many=perhaps&most=9", number="x", day="soon")

    found = []
    for way in (0, 1):
        route = APIRoute("/{number}/{day}", read_parameters)
        handler = short_handler(route) if way == 0 else route.get_route_handler()
        assert handler is not None
        async with AsyncExitStack() as stack:
            asked = bad()
            for name in ("middleware", "inner", "function"):
                asked.scope[f"fastapi_{name}_astack"] = stack
            with pytest.raises(RequestValidationError) as caught:
                await handler(asked)
        found.append([(error["loc"], error["type"]) for error in caught.value.errors()])
    assert found[0] == found[1]
    assert len(found[0]) == 5


async def test_the_context_and_the_request_are_handed_over() -> None:
    route = APIRoute("/here", read_request)
    hand_over_ctx(route.dependant)
    handler = short_handler(route)
    assert handler is not None
    assert orjson.loads((await handler(request_of("/here"))).body) == ["/here", "True"]


async def test_an_answer_that_breaks_its_own_promise_is_not_sent() -> None:
    handler = short_handler(APIRoute("/", answer_wrongly))
    assert handler is not None
    with pytest.raises(ResponseValidationError):
        await handler(request_of())


async def test_the_status_of_a_route_is_kept() -> None:
    short, long = await both(answer_typed, request_of, status_code=202)
    assert (short.status_code, long.status_code) == (202, 202)


async def _somebody() -> int:
    return 1


async def with_dependency(who: Annotated[int, Depends(_somebody)]) -> int:
    return who


async def with_header(accept: Annotated[str, Header()]) -> str:
    return accept


async def with_body(trip: Trip) -> Trip:
    return trip


async def with_response(response: Response) -> int:
    return response.status_code


def in_a_thread() -> int:
    return 1


@pytest.mark.parametrize("endpoint", [with_dependency, with_header, with_body, with_response, in_a_thread])
def test_what_needs_more_goes_the_long_way(endpoint: Callable[..., Any]) -> None:
    assert short_handler(APIRoute("/", endpoint)) is None


def test_an_answer_without_a_body_goes_the_long_way() -> None:
    assert short_handler(APIRoute("/", answer_nothing, status_code=204)) is None
