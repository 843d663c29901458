"""The simulator as one ASGI application: `create(seed=...)`; upstreams under `/{provider_id}`, control under `/_sim`."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ossature.sim.breakage import AT_ONCE, SPLIT_PAUSE_S
from ossature.sim.clock import Clock
from ossature.sim.control import control_app
from ossature.sim.faults import Fault
from ossature.sim.journal import Entry
from ossature.sim.lab import Lab
from ossature.sim.limits import Limit
from ossature.sim.provider import Provider
from ossature.sim.providers import PROVIDERS
from ossature.sim.server import TRANSPORT, break_off
from ossature.sim.site import Answer, Site
from ossature.sim.wire import JSON_HEADERS, Reply, Request, http_date

MAX_REQUEST_BYTES = 32 * 1024 * 1024
_NO_BODY_STATUSES = frozenset({204, 304})


class ConnectionCutError(Exception):
    """The connection was to be broken, and this server gives no hold on it: failing is the next best way."""


def create(
    *,
    seed: int = 0,
    limits: Mapping[str, Iterable[str]] | None = None,
    faults: Iterable[Mapping[str, object]] = (),
    clock: Clock | None = None,
    kept_in: Path | None = None,
    providers: Iterable[Provider] = PROVIDERS,
) -> "Simulator":
    """Return the simulator of that seed.

    limits: per provider the limits that replace its own, as text (`["100/minute"]`; `[]` = none).
    faults: orders as in `POST /_sim/faults`. clock: the real one if absent. kept_in: a file in which what upstreams
    remember outlives this process. Raises: LimitError, FaultError, KeptError, KeyError for an unknown provider.
    """
    providers = tuple(providers)
    names = [provider.id for provider in providers]
    parsed_limits = {name: tuple(map(Limit.parse, texts)) for name, texts in (limits or {}).items()}
    lab = Lab(
        providers,
        seed=seed,
        clock=clock or Clock(),
        limits=parsed_limits,
        faults=[Fault.parse(order, providers=names) for order in faults],
        kept_in=kept_in,
    )
    return Simulator(lab)


class Simulator:
    """The ASGI application. The upstreams take no web framework: benches measure through them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._control: ASGIApp = control_app(lab)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or follow the lifespan)."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        provider_id, _, rest = scope["path"][1:].partition("/")
        site = self.lab.sites.get(provider_id)
        if site is None:
            await self._elsewhere(provider_id, scope, receive=receive, send=send)
            return
        body = await _read(receive)
        if body is None:
            return
        lab = self.lab
        if len(body) > MAX_REQUEST_BYTES:
            too_large = Answer("", Reply(status=413), AT_ONCE, lab.clock.now())
            await _deliver(too_large, send=send, transport=None)
            return
        request = Request(
            method=scope["method"],
            path="/" + rest,
            query_string=scope["query_string"],
            headers=scope["headers"],
            body=body,
            client=scope["client"][0] if scope["client"] else "",
            now=lab.clock.now(),
            serial=site.reached + 1,
            world=lab.world,
            beside=len(site.under_way),
            state=site.state,
        )
        # After a reset nothing that began before it counts any more.
        under_way = site.under_way
        under_way.add(request.serial)
        try:
            await self._answer(site, request, scope=scope, receive=receive, send=send)
        finally:
            under_way.discard(request.serial)

    async def _answer(self, site: Site, request: Request, *, scope: Scope, receive: Receive, send: Send) -> None:
        lab, provider_id = self.lab, site.provider.id
        answer = site.answer(request)
        if request.method != "GET" and site.state is not None:
            lab.keep()
        lab.journal.write(Entry(request.now, provider_id, answer.operation, request, answer.reply.status))
        if answer.delivery.delay_s:
            await asyncio.sleep(answer.delivery.delay_s)
        if answer.delivery.cut:
            await _cut(answer, scope=scope, receive=receive, send=send)
        else:
            whole = await _deliver(answer, send=send, transport=_transport(scope))
            site.abandoned += not whole

    async def _elsewhere(self, provider_id: str, scope: Scope, *, receive: Receive, send: Send) -> None:
        if provider_id == "_sim" and scope["type"] == "http":
            await self._control(scope, receive, send)
            return
        text = {"error": f"There is no simulated provider {provider_id!r}.", "providers": list(self.lab.sites)}
        reply = Reply(status=404, body=orjson.dumps(text), headers=JSON_HEADERS)
        await _deliver(Answer("", reply, AT_ONCE, self.lab.clock.now()), send=send, transport=None)


def _transport(scope: Scope) -> asyncio.Transport | None:
    """Return the connection under the request, where the server gives a hold on it."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT, {}).get("transport")
    return transport


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, as much of it as shows that it is too large, or None when the caller left."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if not message.get("more_body") or len(parts) > MAX_REQUEST_BYTES:
            return bytes(parts)
        message = await receive()
    return None


def _start(reply: Reply, *, now: datetime, length: int | None) -> Message:
    headers = [(b"date", http_date(now)), *reply.headers]
    if length is not None and reply.status not in _NO_BODY_STATUSES:
        headers.append((b"content-length", b"%d" % length))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


def _is_stream(reply: Reply) -> bool:
    return reply.header(b"content-type") == b"text/event-stream"


async def _deliver(answer: Answer, *, send: Send, transport: asyncio.Transport | None) -> bool:
    """Send the answer; False when the caller left a slow stream before its end."""
    reply, delivery = answer.reply, answer.delivery
    if reply.events or _is_stream(reply):
        await send(_start(reply, now=answer.now, length=None))
        for event in reply.events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
            if delivery.gap_s:
                await asyncio.sleep(delivery.gap_s)
                if transport is not None and transport.is_closing():
                    return False
        await send({"type": "http.response.body", "body": b""})
        return True
    await send(_start(reply, now=answer.now, length=len(reply.body)))
    body = reply.body
    if delivery.split_at:
        await send({"type": "http.response.body", "body": body[: delivery.split_at], "more_body": True})
        await asyncio.sleep(SPLIT_PAUSE_S)
        body = body[delivery.split_at :]
    await send({"type": "http.response.body", "body": body})
    return True


async def _cut(answer: Answer, *, scope: Scope, receive: Receive, send: Send) -> None:
    """Break the connection: at once with a reset, or after half of the answer. Raises: ConnectionCutError."""
    reply, delivery = answer.reply, answer.delivery
    transport = _transport(scope)
    if delivery.cut == "half_body":
        stream = bool(reply.events)
        await send(_start(reply, now=answer.now, length=None if stream else len(reply.body)))
        halves = reply.events if stream else (reply.body[: len(reply.body) // 2],)
        for half in halves:
            await send({"type": "http.response.body", "body": half, "more_body": True})
    if transport is None:
        raise ConnectionCutError(delivery.cut)
    if delivery.cut == "reset":
        break_off(transport)
    else:
        transport.close()
    # The server reports the loss as a disconnect; returning before would count as an unfinished answer.
    await receive()
