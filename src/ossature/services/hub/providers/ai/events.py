"""A chat stream as it goes by: events are handed on as they came, and read only for their usage, end and errors.

https://platform.openai.com/docs/api-reference/chat-streaming, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from ossature.kernel.outbound.provider import ErrorKind, Refusal
from ossature.services.hub.domain.chat import Usage

DONE = b"data: [DONE]\n\n"
_MAX_EVENT_BYTES = 4 * 1024 * 1024
_NO_USAGE = re.compile(rb',\s*"usage"\s*:\s*null')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"')
_NOTHING = (b"", b"null", b"[]")
_BYTES_PER_TOKEN = 3


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class Counted(msgspec.Struct):
    """`usage` of an answer or of a chunk."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _Details | None = None

    @property
    def usage(self) -> Usage:
        """In our words."""
        details = self.prompt_tokens_details
        return Usage(self.prompt_tokens, self.completion_tokens or 0, (details.cached_tokens or 0) if details else 0)


class _Groq(msgspec.Struct):
    usage: Counted | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: Raw = Raw()


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None

    @property
    def says_something(self) -> bool:
        """Whether a client sees anything of it."""
        delta = self.delta
        if delta is None:
            return False
        said = delta.content or delta.reasoning or delta.reasoning_content or delta.refusal
        return bool(said) or bytes(delta.tool_calls) not in _NOTHING


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Counted | None = None
    x_groq: _Groq | None = None
    error: Raw = Raw()
    object: str | None = None


_CHUNKS = msgspec.json.Decoder(_Chunk)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


class EventReader:
    """One stream. Nothing is given before the model has said something, so that until then another one may be asked.

    tokens_in: what is taken to be the size of the prompt until it was counted. edits: what is changed in each event, by
    bytes. declined: what an error document inside the stream means.
    """

    def __init__(
        self,
        *,
        wants_usage: bool,
        tokens_in: int,
        edits: Sequence[tuple[re.Pattern[bytes], bytes]] = (),
        declined: Callable[[Any], Refusal],
    ) -> None:
        self._wants_usage = wants_usage
        self._tokens_in = tokens_in
        self._edits = edits
        self._declined = declined
        self._rest = b""
        self._held: list[bytes] = []
        self._began = False
        self._told = False
        self._failure: Refusal | None = None
        self._finished = False
        self._done = False
        self._events = 0
        self._bytes = 0
        self._smallest_bytes = _MAX_EVENT_BYTES
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """Events that are complete with this chunk, as they go to the client. Raises: Refusal."""
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        *events, self._rest = data.split(b"\n\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise Refusal(ErrorKind.DECODE, "An event of the stream has no end.")
        if self._failure is not None:
            raise self._failure
        try:
            for event in events:
                out = self._event(event)
                if out is not None:
                    self._held.append(out)
        except Refusal as refusal:
            # What came before it in the same piece is still told, if the client has heard anything yet.
            if not self._told:
                raise
            self._failure = refusal
        if not self._began:
            return ()
        given, self._held = self._held, []
        self._told = self._told or bool(given)
        return given

    def end(self) -> Sequence[bytes]:
        """Whatever is left at the end of the bytes. Raises: Refusal(TRUNCATED) when the stream just stopped."""
        if self._rest.strip():
            last = self._event(self._rest.strip())
            self._rest = b""
            if last is not None:
                self._held.append(last)
        if self._failure is not None:
            raise self._failure
        if not self._done:
            raise Refusal(ErrorKind.TRUNCATED, "The stream stopped in the middle.")
        held, self._held = self._held, []
        return held

    @property
    def units(self) -> Mapping[str, int]:
        """What was counted; an estimate while only something was said; empty before that."""
        if self.usage is not None:
            return self.usage.units
        if not self._events:
            return {}
        return Usage(self._tokens_in, self._tokens_said()).units

    def _tokens_said(self) -> int:
        """A token for each event, or more by the size of what it says."""
        said_bytes = self._bytes - self._events * self._smallest_bytes
        return max(self._events, said_bytes // _BYTES_PER_TOKEN)

    def _event(self, event: bytes) -> bytes | None:
        if event.startswith(b"data: {") and b"\n" not in event:
            payload = event[6:]
        else:
            # An error may come as a plain object although a stream was asked for.
            payload = event.strip() if event.lstrip().startswith(b"{") else _payload(event)
            if not payload:
                return None
            if payload == b"[DONE]":
                # Some say it twice; the second one is no news.
                first, self._done = not self._done, True
                self._began = True
                return DONE if first else None
        if self._done:
            return None
        return self._chunk(payload)

    def _chunk(self, payload: bytes) -> bytes | None:
        if not self._began or b'"error"' in payload or _USAGE.search(payload):
            looked = self._looked_at(payload)
            if looked is None:
                return None
            payload = looked
        elif not self._finished and _FINISH.search(payload):
            self._finished = True
        if not self._wants_usage and b'"usage"' in payload:
            # Once it is asked for, by us or by the client, every chunk says that there is none yet.
            payload = _NO_USAGE.sub(b"", payload)
        self._events += 1
        self._bytes += len(payload)
        self._smallest_bytes = min(self._smallest_bytes, len(payload))
        for pattern, instead in self._edits:
            payload = pattern.sub(instead, payload)
        return b"data: " + payload + b"\n\n"

    def _looked_at(self, payload: bytes) -> bytes | None:
        """A chunk that may tell of usage, of an error or of the beginning; None when the client is not to see it."""
        try:
            chunk = _CHUNKS.decode(payload)
        except msgspec.DecodeError as error:
            raise Refusal(ErrorKind.DECODE, "An event of the stream is not understood.") from error
        if bytes(chunk.error) not in _NOTHING or chunk.object == "error":
            refusal = self._declined(msgspec.json.decode(payload))
            if self._events:
                refusal.units = None  # what was said before was counted
            raise refusal
        says_something = any(choice.says_something for choice in chunk.choices)
        ends = any(choice.finish_reason for choice in chunk.choices)
        repeated = self._finished and ends and not says_something
        self._began = self._began or says_something or ends
        self._finished = self._finished or ends
        counted = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
        if counted is not None:
            self.usage = counted.usage
        if chunk.usage is None:
            return payload
        if self._wants_usage:
            return _without_choices(payload) if repeated else payload
        # The chunk that tells the usage may also be the one that ends, or say the last word.
        return _without_usage(payload) if chunk.choices and not repeated else None


def _payload(event: bytes) -> bytes:
    """What the `data` lines of an event say; comments and other fields say nothing to us."""
    lines = (line.removeprefix(b"data:").strip() for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(lines)


def _without_usage(payload: bytes) -> bytes:
    fields = _FIELDS.decode(payload)
    del fields["usage"]
    return msgspec.json.encode(fields)


def _without_choices(payload: bytes) -> bytes:
    """A chunk that ends the answer a second time, as a chunk that only tells the usage."""
    return msgspec.json.encode({**_FIELDS.decode(payload), "choices": Raw(b"[]")})
