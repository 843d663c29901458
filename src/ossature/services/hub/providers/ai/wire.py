"""The OpenAI form of chat, spoken to whoever understands it: one module, and a list of quirks for each upstream.

Bytes of requests, answers and events go through unread wherever that is possible. https://platform.openai.com/docs/api-reference/chat
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import msgspec
from msgspec import Raw

from ossature.kernel.outbound.provider import (
    Account,
    Auth,
    Call,
    Codec,
    ErrorKind,
    Evidence,
    LimitHeader,
    Manifest,
    Price,
    Privacy,
    Provider,
    Reply,
    Term,
    TimeLimits,
)
from ossature.services.hub.domain.chat import Chat, Completion, ModelCard
from ossature.services.hub.ports import CHAT, Declined, ModelProvider
from ossature.services.hub.providers.ai.events import Counted, EventReader

MOST_ANSWER_BYTES = 64 * 1024 * 1024
"""A stream has some 300 bytes for each token, and the models that write most write 131,072 of them."""

_OURS = frozenset({"hub", "models", "model", "stream_options"})
_JSON_HEADERS = {"Content-Type": "application/json"}
_NOTHING = frozenset({b"null", b"false", b"{}", b"[]"})
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_WITH_USAGE = Raw(b'{"include_usage":true}')

_TOO_LONG = re.compile(
    r"maximum context length|prompt is too long|too large for model|reduce the length of the messages|context window",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"model .*(?:does not exist|not found)|not a valid model|invalid model", re.IGNORECASE)
_USED_UP = re.compile(
    r"per[- ]day|per[- ]month|insufficient[_ ]quota|exceeded your current quota|credits", re.IGNORECASE
)
_CODES: Mapping[str, ErrorKind] = {
    "context_length_exceeded": ErrorKind.CONTEXT_LENGTH,
    "content_policy_violation": ErrorKind.CONTENT_POLICY,
    "content_filter": ErrorKind.CONTENT_POLICY,
    "insufficient_quota": ErrorKind.QUOTA,
    "invalid_api_key": ErrorKind.AUTH,
    "model_not_found": ErrorKind.NOT_FOUND,
}
Edits = tuple[tuple[re.Pattern[bytes], bytes], ...]

_MILLION = 1_000_000
_BAD, _PAYMENT, _NOT_FOUND, _TOO_LARGE, _TOO_MANY = 400, 402, 404, 413, 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """Where an upstream differs from the reference.

    renames: request field -> what it calls it. ignores: fields that it refuses and that change nothing about the answer.
    lacks: fields that it refuses and that do; who uses one is not sent there. include_usage: a stream tells the usage
    when it is asked to, else it tells it by itself. reasoning: its name for what others call `reasoning_content`.
    padding: a text field of each chunk that means nothing. codes: its own error codes.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    ignores: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    include_usage: bool = True
    reasoning: str = ""
    padding: str = ""
    codes: Mapping[str, ErrorKind] = field(default_factory=dict)


class _Choice(msgspec.Struct):
    message: dict[str, Raw]


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Counted | None = None
    error: Raw = Raw()
    object: str | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)


def cloud(  # noqa: PLR0913 - what tells one house from the others
    *,
    id: str,  # noqa: A002 - as in Manifest
    title: str,
    base_url: str,
    region: str,
    docs: str,
    read_on: date,
    rank: int,
    quirks: tuple[str, ...],
    trains: bool | None = None,
    limit_headers: tuple[LimitHeader, ...] = (),
) -> Manifest:
    """The manifest of a house that sells answers over the network: a key as bearer, prompts leave, money is taken."""
    return Manifest(
        id=id,
        title=title,
        base_url=base_url,
        auth=Auth.bearer(),
        limit_headers=limit_headers,
        time_limits=TimeLimits(first_byte_s=30, total_s=600),
        max_body_bytes=MOST_ANSWER_BYTES,
        terms=(Term(about="commercial", holds=True), Term(about="caching", holds=None)),
        privacy=Privacy(leaves=("messages",), region=region, trains=trains),
        quirks=quirks,
        docs=docs,
        charges=True,
        evidence=Evidence(how="docs", on=read_on),
        rank=rank,
    )


def ratelimit_headers(*, requests_per_s: int) -> tuple[LimitHeader, ...]:
    """What OpenAI's `x-ratelimit` headers say: requests over that many seconds, tokens over a minute."""
    return tuple(
        LimitHeader(
            remaining=f"x-ratelimit-remaining-{unit}",
            unit=unit,
            per_s=per_s,
            reset=f"x-ratelimit-reset-{unit}",
            reset_as="duration",
        )
        for unit, per_s in (("requests", requests_per_s), ("tokens", 60))
    )


def model_provider(manifest: Manifest, models: tuple[ModelCard, ...], quirks: Quirks) -> ModelProvider:
    """A provider that speaks the OpenAI form."""
    edits = _edits(quirks)
    codec: Codec[Chat, Completion] = Codec(
        encode=lambda chat, account: _encode(chat, account, quirks),
        decode=lambda _, reply: _decode(reply, quirks, edits),
        refusal=lambda reply: _refusal(reply, quirks),
        accepts=lambda chat: _accepts(chat, quirks),
        units=_units,
        stream=lambda chat: EventReader(
            wants_usage=chat.wants_usage,
            tokens_in=chat.tokens_in,
            edits=edits,
            declined=lambda document: declined(document, 200, quirks),
        ),
    )
    priced = replace(manifest, prices=tuple(price for card in models for price in _prices(card)))
    return ModelProvider(Provider(priced, {CHAT.id: codec}), {card.id: card for card in models})


def _prices(card: ModelCard) -> Iterator[Price]:
    for unit, usd in (("tokens_in", card.usd_in), ("tokens_out", card.usd_out)):
        if usd:
            yield Price(unit=unit, microusd=round(usd * _MILLION), per=_MILLION, operation=CHAT.id, model=card.id)


def _encode(chat: Chat, account: Account, quirks: Quirks) -> Call:
    """The client's own fields, with the model's name at that upstream and without what it would refuse."""
    del account
    fields: dict[str, Raw | str] = {"model": chat.model}
    for name, value in chat.fields.items():
        if name not in _OURS and name not in quirks.ignores and not (name in quirks.lacks and _is_nothing(value)):
            fields.setdefault(quirks.renames.get(name, name), value)
    if chat.stream and quirks.include_usage:
        fields["stream_options"] = _stream_options(chat.fields.get("stream_options"))
    return Call(
        "POST",
        "/chat/completions",
        headers=_JSON_HEADERS,
        body=msgspec.json.encode(fields),
        units={"requests": 1, **chat.units},
    )


def _stream_options(given: Raw | None) -> Raw:
    """The client's own options, and the wish to know the usage."""
    if given is None or bytes(given).strip() in _NOTHING:
        return _WITH_USAGE
    options = {name: value for name, value in _FIELDS.decode(given).items() if name != "include_usage"}
    return Raw(msgspec.json.encode({**options, "include_usage": True}))


def _is_nothing(value: Raw) -> bool:
    return bytes(value).strip() in _NOTHING


def _accepts(chat: Chat, quirks: Quirks) -> str | None:
    """Fields that change the answer are never dropped in silence."""
    lacking = sorted(name for name in quirks.lacks & chat.fields.keys() if not _is_nothing(chat.fields[name]))
    return f"does not know {', '.join(lacking)}" if lacking else None


def _decode(reply: Reply, quirks: Quirks, edits: Edits) -> Completion:
    """The answer as it came. Raises: Declined for an error under a good status; ValueError for anything else."""
    answer = _ANSWERS.decode(reply.body)
    if bytes(answer.error) not in (b"", b"null") or answer.object == "error":
        raise declined(reply.json(), 200, quirks)
    if not answer.choices:
        msg = "an answer without choices"
        raise ValueError(msg)
    body = reply.body
    for pattern, instead in edits:
        body = pattern.sub(instead, body)
    return Completion(body, answer.usage.usage if answer.usage else None)


def _units(completion: Completion) -> Mapping[str, int]:
    """What was counted; empty while unknown."""
    return {} if completion.usage is None else completion.usage.units


def _edits(quirks: Quirks) -> Edits:
    """What is changed in answers by bytes. Inside a JSON text quotes are escaped, so a field's name is never one of its words."""
    edits = []
    if quirks.reasoning:
        edits.append((re.compile(rb'"%s"(?=\s*:)' % quirks.reasoning.encode()), b'"reasoning_content"'))
    if quirks.padding:
        edits.append((re.compile(rb',\s*"%s"\s*:\s*"[^"\\]*"' % quirks.padding.encode()), b""))
    return tuple(edits)


def _refusal(reply: Reply, quirks: Quirks) -> Declined | None:
    """The no of a bad status, in our words."""
    if reply.ok:
        return None
    try:
        document = reply.json()
    except ValueError:
        document = {}
    retry_after = reply.header("retry-after")
    found = declined(document, reply.status, quirks)
    found.retry_after_s = float(retry_after) if retry_after.replace(".", "", 1).isdigit() else None
    return found


def declined(document: Any, status: int, quirks: Quirks) -> Declined:  # noqa: ANN401 - whatever the upstream says
    """What an error document means: OpenAI's `{"error": {...}}`, its bare inside, FastAPI's `detail`, a number as code."""
    error = document.get("error", document) if isinstance(document, dict) else {}
    if not isinstance(error, dict):
        error = {"message": error}
    detail = error.get("detail")
    message = str(error.get("message") or (detail if isinstance(detail, str) else _first(detail)) or "")
    code = error.get("code")
    if isinstance(code, int) and status < _BAD:
        status = code
    kind = _kind(status, str(code or ""), message, quirks.codes)
    param = error.get("param")
    return Declined(kind, message, param=param if isinstance(param, str) else None, code=str(code) if code else None)


def _first(detail: Any) -> str:  # noqa: ANN401 - FastAPI's list of faults
    """The first fault of a list, such as `body.logprobs: Extra inputs are not permitted`."""
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        where = ".".join(str(part) for part in detail[0].get("loc") or ())
        return f"{where}: {detail[0].get('msg', '')}"
    return ""


_BY_STATUS: Mapping[int, ErrorKind] = {
    401: ErrorKind.AUTH,
    _PAYMENT: ErrorKind.QUOTA,
    403: ErrorKind.AUTH,
    _NOT_FOUND: ErrorKind.NOT_FOUND,
    408: ErrorKind.UPSTREAM_5XX,
    410: ErrorKind.NOT_FOUND,
    _TOO_LARGE: ErrorKind.CONTEXT_LENGTH,
}


def _kind(status: int, code: str, message: str, codes: Mapping[str, ErrorKind]) -> ErrorKind:
    known = codes.get(code) or _CODES.get(code)
    if known is not None:
        return known
    if status == _TOO_MANY:
        return ErrorKind.QUOTA if _USED_UP.search(message) else ErrorKind.RATE
    if status < _BAD or status >= 500:
        return ErrorKind.UPSTREAM_5XX
    if status in (_BAD, 422) and _TOO_LONG.search(message):
        return ErrorKind.CONTEXT_LENGTH
    if status in (_BAD, 422) and _NO_MODEL.search(message):
        return ErrorKind.NOT_FOUND
    return _BY_STATUS.get(status, ErrorKind.BAD_REQUEST)
