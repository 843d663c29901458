"""`local/echo`: an answer where there is no language model. It repeats what it was told and says that it is none."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from ossature.kernel.outbound.provider import Account, Codec, ErrorKind, Evidence, Manifest, Privacy, Provider
from ossature.services.hub.domain.chat import Chat, Completion, ModelCard, Usage
from ossature.services.hub.ports import CHAT, Declined, ModelProvider
from ossature.services.hub.providers.ai.events import DONE, EventReader

_MOST_LETTERS = 2_000
_NEEDS_A_MODEL = ("tools", "functions", "response_format", "logprobs", "audio")
_TEXT_FORMAT = b'{"type":"text"}'


class _Message(Struct):
    role: str
    content: str | list[Any] | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])


def _accepts(chat: Chat) -> str | None:
    for name in _NEEDS_A_MODEL:
        value = bytes(chat.fields.get(name, b"null"))
        if value not in (b"null", b"[]", b"false", _TEXT_FORMAT):
            return f"is no language model and does not know {name}"
    return None


def _compute(chat: Chat, account: Account) -> Completion:
    """The answer, whole or as a stream of events. Tokens are words. Raises: Declined."""
    del account
    try:
        messages = _MESSAGES.decode(chat.fields["messages"])
    except msgspec.ValidationError as error:
        raise Declined(ErrorKind.BAD_REQUEST, str(error), param="messages") from None
    asked = _last(messages)
    text = f"local/echo is not a language model; it only repeats what it reads: {asked[:_MOST_LETTERS]}"
    words_in = sum(len(_text(message).split()) for message in messages)
    usage = Usage(words_in, len(text.split()))
    name = hashlib.sha256(bytes(chat.fields["messages"])).hexdigest()[:24]
    frame = {"id": f"chatcmpl-{name}", "created": 0, "model": chat.model}
    return Completion(_events(frame, text, usage) if chat.stream else _whole(frame, text, usage), usage)


def _last(messages: Sequence[_Message]) -> str:
    for message in reversed(messages):
        if message.role == "user":
            return _text(message)
    return ""


def _text(message: _Message) -> str:
    content = message.content
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if isinstance(part, dict) and part.get("type") == "text")
    return content or ""


def _counted(usage: Usage) -> dict[str, int]:
    total = usage.tokens_in + usage.tokens_out
    return {"prompt_tokens": usage.tokens_in, "completion_tokens": usage.tokens_out, "total_tokens": total}


def _whole(frame: dict[str, Any], text: str, usage: Usage) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return msgspec.json.encode({**frame, "object": "chat.completion", "choices": [choice], "usage": _counted(usage)})


def _events(frame: dict[str, Any], text: str, usage: Usage) -> bytes:
    words = text.split(" ")
    pieces = [
        word if last else f"{word} " for word, last in zip(words, [False] * (len(words) - 1) + [True], strict=True)
    ]
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, "stop"))
    chunk = {**frame, "object": "chat.completion.chunk"}
    bodies = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    bodies.append({**chunk, "choices": [], "usage": _counted(usage)})
    return b"".join(b"data: %s\n\n" % msgspec.json.encode(body) for body in bodies) + DONE


models = ModelProvider(
    Provider(
        Manifest(
            id="local_ai",
            title="No language model",
            transport="local",
            licence="part of this product",
            privacy=Privacy(region="own machine", trains=False),
            quirks=("repeats the last message and says that it is no language model", "tokens are words"),
            evidence=Evidence(how="docs", on=date(2026, 11, 21)),
            rank=0,
        ),
        {
            CHAT.id: Codec(
                compute=_compute,
                accepts=_accepts,
                units=lambda completion: completion.usage.units if completion.usage else {},
                stream=lambda chat: EventReader(
                    wants_usage=chat.wants_usage,
                    tokens_in=chat.tokens_in,
                    declined=lambda document: Declined(ErrorKind.UPSTREAM_5XX, str(document)),
                ),
            )
        },
    ),
    {"echo": ModelCard(id="echo", usd_in=0, usd_out=0)},
    prefix="local",
)
