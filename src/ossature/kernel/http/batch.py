"""`POST /v1/batch`: up to a hundred requests in one, with one authentication.

Each goes through the edge like any other: it has its own permission check, rate limit, transaction, metrics and log
line, and is committed or undone by itself. Those that do not wait for others run at the same time; equal reads that do
are asked once.
"""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field, JsonValue
from starlette.types import Message, Scope

from ossature.kernel import deadline
from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import Conflict, FieldError, InvalidInput, Problem
from ossature.kernel.http.edge import Edge, Passage
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy
from ossature.kernel.http.problems import TookTooLong, render
from ossature.kernel.http.settings import HttpSettings

router = APIRouter(tags=["batch"])

REQUESTS_MOST = 100
_BODY_MOST = 4 * 1024 * 1024
_ANSWER_MOST = 8 * 1024 * 1024
_REQUEST_ID_MOST = 56
_FAILED = 400
_READS = frozenset({"GET", "HEAD"})
# What says who asks and from where goes along; what a request says of itself is in the batch.
_ALONG = frozenset(
    {b"accept-language", b"cookie", b"host", b"origin", b"sec-fetch-site", b"user-agent", b"x-csrf-token"}
)
_TOLD = frozenset(
    {
        "content-type", "deprecation", "etag", "idempotent-replayed", "last-modified", "link", "location", "ratelimit",
        "ratelimit-policy", "retry-after", "sunset", "x-request-id",
    }
)  # fmt: skip

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$", examples=["first"])]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class BatchInBatch(Conflict):
    """A batch has requests in it, and no other batch."""

    title = "A batch in a batch"


class NotRun(Problem):
    """A request that this one waits for has failed, so it was not begun."""

    status = 424
    title = "Not run"


class NoWholeAnswer(Problem):
    """The answer goes on for ever, or is too large to be part of a batch; ask for it by itself."""

    status = 406
    title = "No whole answer"


class OneIn(Input):
    """One request. path: with its query. after: ids of earlier ones that must have gone well before."""

    id: RequestId | None = None
    method: Method = "GET"
    path: str = Field(pattern=r"^/v\d{1,3}/[!-~]{0,2000}$", examples=["/v1/auth/me"])
    body: JsonValue = None
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=200, pattern=r"^[ -~]+$")
    if_match: str | None = Field(default=None, max_length=200, pattern=r"^[ -~]+$")
    if_none_match: str | None = Field(default=None, max_length=200, pattern=r"^[ -~]+$")
    after: list[RequestId] = Field(default=[], max_length=REQUESTS_MOST)


class BatchIn(Input):
    """Requests. in_order: each waits for the one before it, and none is begun after one has failed."""

    requests: list[OneIn] = Field(min_length=1, max_length=REQUESTS_MOST)
    in_order: bool = False


class OneOut(BaseModel):
    """The answer to one request. body: JSON, or text; `base64` where it is neither."""

    id: str
    status: int
    headers: dict[str, str]
    body: JsonValue
    base64: bool


class BatchOut(BaseModel):
    """The answers, in the order of the requests."""

    answers: list[OneOut]


@dataclass(slots=True)
class _Answer:
    """What came back of one request."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    @property
    def failed(self) -> bool:
        return self.status >= _FAILED


@router.post("/batch")
@policy(allow="*", effects=False, max_body_bytes=_BODY_MOST)
async def run_batch(
    ctx: CurrentCtx,
    request: Request,
    body: BatchIn,
    idempotency_key: Annotated[str | None, Header(max_length=200, pattern=r"^[ -~]+$")] = None,
) -> BatchOut:
    """Up to a hundred requests, each with the caller's rights and limits, answered by itself in its place.

    One that fails undoes nothing of the others. An `Idempotency-Key` holds for each request in its place: a batch that is
    sent again does what is left of it. Reads that are equal are asked once.
    """
    if "ossature.batch" in request.scope:
        raise BatchInBatch
    settings = ctx.settings[HttpSettings]
    batch = _Batch(request.scope, body, key=idempotency_key, at_once=settings.batch_at_once)
    return BatchOut(answers=await batch.run(settings.batch_time_limit_s))


class _Batch:
    """One batch on its way."""

    def __init__(self, scope: Scope, body: BatchIn, *, key: str | None, at_once: int) -> None:
        self._outer = scope
        self._passage: Passage = scope["ossature.passage"]
        self._edge: Edge = scope["app"].state.edge
        self._asked = body.requests
        self._ids = [one.id or str(place) for place, one in enumerate(self._asked)]
        self._after = _waits(self._asked, self._ids, in_order=body.in_order)
        self._key = key
        self._turns = asyncio.Semaphore(at_once)
        self._room = _ANSWER_MOST
        self._tasks: list[asyncio.Task[_Answer]] = []

    async def run(self, time_limit_s: float) -> list[OneOut]:
        """Every answer, those that were not there in time as problems."""
        same: dict[tuple[Any, ...], asyncio.Task[_Answer]] = {}
        with deadline.within(time_limit_s):
            for place, one in enumerate(self._asked):
                key = (one.method, one.path, one.if_none_match, tuple(self._after[place]))
                task = same.get(key) if one.method in _READS else None
                if task is None:
                    task = asyncio.create_task(self._one(place), name="http.batch")
                    if one.method in _READS:
                        same[key] = task
                self._tasks.append(task)
            try:
                await asyncio.wait(self._tasks, timeout=time_limit_s)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
        return [self._told(place, task) for place, task in enumerate(self._tasks)]

    async def _one(self, place: int) -> _Answer:
        """Wait for what it waits for, then ask."""
        for other in self._after[place]:
            before = await asyncio.shield(self._tasks[other])
            if before.failed:
                return self._problem(place, NotRun(f"{self._ids[other]} ended with {before.status}."))
        async with self._turns:
            answer = _Answer()
            try:
                await self._edge(self._scope(place), self._receive(place), self._receiver(answer))
            except NoWholeAnswer as error:
                return self._problem(place, error)
            return answer

    def _scope(self, place: int) -> Scope:
        """The request as a server would hand it over. Who asks is known already."""
        one, outer = self._asked[place], self._outer
        path, _, query = one.path.partition("?")
        exchange = self._passage.exchange
        headers = [(name, value) for name, value in outer["headers"] if name in _ALONG]
        headers.append((b"x-request-id", f"{exchange.request_id[:_REQUEST_ID_MOST]}.{place}".encode()))
        if exchange.traceparent:
            headers.append((b"traceparent", exchange.traceparent.encode()))
        if one.body is not None:
            headers.append((b"content-type", b"application/json"))
            headers.append((b"content-length", b"%d" % len(orjson.dumps(one.body))))
        given = {
            b"idempotency-key": one.idempotency_key or self._key_of(place),
            b"if-match": one.if_match,
            b"if-none-match": one.if_none_match,
        }
        headers += [(name, value.encode()) for name, value in given.items() if value is not None]
        kept = ("asgi", "scheme", "server", "client", "app", "http_version")
        return {
            **{name: outer[name] for name in kept if name in outer},
            "type": "http",
            "method": one.method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "ossature.batch": self._passage,
        }

    def _key_of(self, place: int) -> str | None:
        """The idempotency key of a request whose batch has one."""
        if self._key is None or self._asked[place].method not in {"POST", "PATCH"}:
            return None
        return f"batch-{hashlib.sha256(f'{self._key}/{self._ids[place]}'.encode()).hexdigest()}"

    def _receive(self, place: int) -> Any:  # noqa: ANN401 - as ASGI has it
        body = self._asked[place].body
        messages: list[Message] = [
            {"type": "http.request", "body": b"" if body is None else orjson.dumps(body), "more_body": False}
        ]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # nobody hangs up

        return receive

    def _receiver(self, answer: _Answer) -> Any:  # noqa: ANN401 - as ASGI has it
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
                if any(
                    name == b"content-type" and value.startswith(b"text/event-stream") for name, value in answer.headers
                ):
                    raise NoWholeAnswer
            else:
                piece = message.get("body", b"")
                self._room -= len(piece)
                if self._room < 0:
                    raise NoWholeAnswer(f"All answers together have at most {_ANSWER_MOST} bytes.")
                answer.body += piece

        return send

    def _problem(self, place: int, problem: Problem) -> _Answer:
        exchange = self._passage.exchange
        headers, body = render(
            problem,
            public_url=self._edge.keepers.public_url,
            instance=self._asked[place].path.partition("?")[0],
            request_id=exchange.request_id,
            trace_id=exchange.trace_id,
        )
        return _Answer(problem.status, headers, bytearray(body))

    def _told(self, place: int, task: asyncio.Task[_Answer]) -> OneOut:
        if task.cancelled():
            answer = self._problem(place, TookTooLong("The batch had no time left for it."))
        else:
            answer = task.result()
        headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
        body, packed = _read(bytes(answer.body), headers.get("content-type", ""))
        told = {name: value for name, value in headers.items() if name in _TOLD}
        return OneOut(id=self._ids[place], status=answer.status, headers=told, body=body, base64=packed)


def _waits(asked: Sequence[OneIn], ids: Sequence[str], *, in_order: bool) -> list[list[int]]:
    """The places of those that each request waits for. Raises: InvalidInput."""
    places: dict[str, int] = {}
    found: list[list[int]] = []
    for place, (one, name) in enumerate(zip(asked, ids, strict=True)):
        if name in places:
            message = f"There are two requests {name!r}."
            raise InvalidInput(errors=[FieldError(f"/requests/{place}/id", message, "batch")])
        unknown = [before for before in one.after if before not in places]
        if unknown:
            message = f"{unknown[0]!r} is no request before this one."
            raise InvalidInput(errors=[FieldError(f"/requests/{place}/after", message, "batch")])
        waits = {places[before] for before in one.after}
        if in_order and place:
            waits.add(place - 1)
        found.append(sorted(waits))
        places[name] = place
    return found


def _read(body: bytes, content_type: str) -> tuple[Any, bool]:
    """A body as JSON or text, and whether it is neither, so that it is packed."""
    if not body:
        return None, False
    if "json" in content_type.partition(";")[0]:
        try:
            return orjson.loads(body), False
        except orjson.JSONDecodeError:
            pass
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True
