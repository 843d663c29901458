"""What each fault makes of an answer: another reply, and how it is delivered."""

import math
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import orjson

from ossature.sim.faults import Fault, Kind
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import JSON_HEADERS, Json, Reason, Refusal, Reply

BOMB_BYTES = 64 * 1024 * 1024
PRIVATE_URL = b"http://169.254.169.254/latest/meta-data/"
SPLIT_PAUSE_S = 0.005
# Bytes of these values never begin a character of UTF-8.
_CONTINUES = (0x80, 0xBF)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply travels: late, with gaps between events, cut off, or with its body in two writes."""

    delay_s: float = 0.0
    gap_s: float = 0.0
    cut: Literal["", "reset", "half_body"] = ""
    split_at: int = 0


AT_ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class _Case:
    reply: Reply
    fault: Fault
    provider: Provider
    route: Route

    @property
    def field(self) -> str:
        """The dotted path of the field to spoil."""
        vital = self.route.vital_in_stream if self.reply.events else self.route.vital
        return self.fault.field or vital


def _too_many(case: _Case) -> Reply:
    seconds = max(1, math.ceil((1000 if case.fault.ms is None else case.fault.ms) / 1000))
    bare = case.fault.fault is Kind.TOO_MANY_BARE
    reply = case.provider.refuse(
        Refusal(reason=Reason.THROTTLED, status=429, retry_after_s=None if bare else seconds),
    )
    others = tuple(header for header in reply.headers if header[0] != b"retry-after")
    told = () if bare else ((b"retry-after", str(seconds).encode()),)
    return replace(reply, status=429, headers=others + told)


def _failed(case: _Case) -> Reply:
    return case.provider.refuse(Refusal(reason=Reason.BROKEN, status=int(case.fault.fault)))


def _error_in_200(case: _Case) -> Reply:
    return case.provider.error_in_200()


def _empty(case: _Case) -> Reply:
    return replace(case.reply, body=b"", events=())


@cache
def _bomb() -> bytes:
    """Return a gzip file of blanks; its blocks are equal, so one is compressed and repeated."""
    blanks, count = b" " * (1 << 20), BOMB_BYTES >> 20
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = squeezer.compress(blanks) + squeezer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(count):
        checksum = zlib.crc32(blanks, checksum)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return header + block * count + squeezer.flush() + struct.pack("<II", checksum, BOMB_BYTES)


def _gzip_bomb(_: _Case) -> Reply:
    return Reply(body=_bomb(), headers=(*JSON_HEADERS, (b"content-encoding", b"gzip")))


def _redirect_private(_: _Case) -> Reply:
    return Reply(status=302, headers=((b"location", PRIVATE_URL),))


def _half(events: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return events[: max(1, len(events) // 2)]


def _bad_json(case: _Case) -> Reply:
    if case.reply.events:
        middle = len(case.reply.events) // 2
        spoilt = case.reply.events[middle]
        cut = spoilt[: len(spoilt) // 2] + b"\n\n"
        return replace(case.reply, events=(*case.reply.events[:middle], cut, *case.reply.events[middle + 1 :]))
    return replace(case.reply, body=case.reply.body[: len(case.reply.body) // 2])


def _spoil(value: Json, path: list[str], *, how: Callable[[Any, Any], None]) -> None:
    """Apply `how(container, key)` to whatever the path names; what is absent is left alone."""
    name, *rest = path
    keys: list[Any]
    match value:
        case list():
            keys = list(range(len(value))) if name == "*" else [int(name)] if name.isdecimal() else []
            keys = [key for key in keys if key < len(value)]
        case dict():
            keys = list(value) if name == "*" else [name] if name in value else []
        case _:
            return
    for key in reversed(keys):
        if rest:
            _spoil(value[key], rest, how=how)
        else:
            how(value, key)


def _remove(container: Any, key: Any) -> None:  # noqa: ANN401 - a list and its index, or an object and its name
    del container[key]


def _wrap(container: Any, key: Any) -> None:  # noqa: ANN401 - as above
    # A list where a value stood: no lenient conversion turns that into a number or a text.
    container[key] = [{"unexpected": container[key]}]


def _edit_json(raw: bytes, edit: Callable[[Any], None]) -> bytes:
    value = orjson.loads(raw)
    edit(value)
    return orjson.dumps(value)


def _edit(reply: Reply, edit: Callable[[Any], None]) -> Reply:
    """Apply the edit to the JSON body, or to the JSON of every event; comments and the terminator stay."""
    if not reply.events:
        return replace(reply, body=_edit_json(reply.body, edit))
    events = []
    for event in reply.events:
        data = event.removeprefix(b"data: ").rstrip()
        events.append(b"data: " + _edit_json(data, edit) + b"\n\n" if data[:1] == b"{" else event)
    return replace(reply, events=tuple(events))


def _is_xml(reply: Reply) -> bool:
    return b"xml" in (reply.header(b"content-type") or b"")


def _missing_field(case: _Case) -> Reply:
    if _is_xml(case.reply):
        pattern = rb"\s" + re.escape(case.field.encode()) + rb"=(['\"])[^'\"]*\1"
        return replace(case.reply, body=re.sub(pattern, b"", case.reply.body))
    return _edit(case.reply, lambda value: _spoil(value, case.field.split("."), how=_remove))


def _wrong_type(case: _Case) -> Reply:
    if _is_xml(case.reply):
        pattern = rb"\b(" + re.escape(case.field.encode()) + rb"=['\"])[^'\"]*"
        return replace(case.reply, body=re.sub(pattern, rb"\1n/a", case.reply.body))
    return _edit(case.reply, lambda value: _spoil(value, case.field.split("."), how=_wrap))


def _truncated_sse(case: _Case) -> Reply:
    return replace(case.reply, events=_half(case.reply.events))


def _error_mid_stream(case: _Case) -> Reply:
    return replace(case.reply, events=(*_half(case.reply.events), case.provider.error_event))


def _drop_usage(value: dict[str, Any]) -> None:
    value.pop("usage", None)
    value.get("x_groq", {}).pop("usage", None)


def _no_usage(case: _Case) -> Reply:
    reply = _edit(case.reply, _drop_usage)
    # The chunk that exists only to carry the usage goes with it.
    return replace(reply, events=tuple(event for event in reply.events if b'"choices":[]' not in event))


def _split_point(raw: bytes) -> int:
    """Return an index inside the first character of several bytes; the middle when there is none."""
    return next((index for index, byte in enumerate(raw) if _CONTINUES[0] <= byte <= _CONTINUES[1]), len(raw) // 2)


def _utf8_split(case: _Case) -> Reply:
    if not case.reply.events:
        return case.reply
    events: list[bytes] = []
    for event in case.reply.events:
        if event.isascii():
            events.append(event)
        else:
            at = _split_point(event)
            events.extend((event[:at], event[at:]))
    return replace(case.reply, events=tuple(events))


_ID_NAMES = frozenset({"id", "place_id", "osm_id"})


def _same_ids(value: Json, seen: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for name in value:
            if name in _ID_NAMES and isinstance(value[name], int | str):
                value[name] = seen.setdefault(f"{name}:{type(value[name]).__name__}", value[name])
            else:
                _same_ids(value[name], seen)
    elif isinstance(value, list):
        for item in value:
            _same_ids(item, seen)


def _repeat_ids(value: Json) -> None:
    """Give every item the id of the first, and every completion and tool call the id of every other."""
    if isinstance(value, dict) and "choices" in value:
        value["id"] = "chatcmpl-duplicate"
        for choice in value["choices"]:
            for part in ("message", "delta"):
                for call in (choice.get(part) or {}).get("tool_calls") or ():
                    if call.get("id"):
                        call["id"] = "call_duplicate"
        return
    _same_ids(value, {})


def _dup_ids(case: _Case) -> Reply:
    return case.reply if _is_xml(case.reply) else _edit(case.reply, _repeat_ids)


_BREAK: dict[Kind, Callable[[_Case], Reply]] = {
    Kind.TOO_MANY: _too_many,
    Kind.TOO_MANY_BARE: _too_many,
    Kind.ERROR_IN_200: _error_in_200,
    Kind.BROKEN: _failed,
    Kind.UNAVAILABLE: _failed,
    Kind.OVERLOADED: _failed,
    Kind.BAD_JSON: _bad_json,
    Kind.WRONG_TYPE: _wrong_type,
    Kind.MISSING_FIELD: _missing_field,
    Kind.EMPTY: _empty,
    Kind.GZIP_BOMB: _gzip_bomb,
    Kind.REDIRECT_PRIVATE: _redirect_private,
    Kind.TRUNCATED_SSE: _truncated_sse,
    Kind.ERROR_MID_STREAM: _error_mid_stream,
    Kind.NO_USAGE: _no_usage,
    Kind.UTF8_SPLIT: _utf8_split,
    Kind.DUP_IDS: _dup_ids,
}


def break_reply(reply: Reply, fault: Fault, *, provider: Provider, route: Route) -> tuple[Reply, Delivery]:
    """Return what the fault makes of the reply and how it shall travel."""
    if fault.fault is Kind.RESET:
        return reply, Delivery(cut="reset")
    if fault.fault is Kind.HALF_BODY:
        return replace(reply, events=_half(reply.events)), Delivery(cut="half_body")
    broken = _BREAK[fault.fault](_Case(reply, fault, provider, route))
    if fault.fault is not Kind.UTF8_SPLIT:
        return broken, AT_ONCE
    if broken.events:
        return broken, Delivery(gap_s=SPLIT_PAUSE_S)
    return broken, Delivery(split_at=_split_point(broken.body))
