"""OpenAI: https://platform.openai.com/docs/api-reference. The reference of the surface; strict about fields."""

from typing import Any

from ossature.sim.ai.dialect import Dialect, Model, Surface, openai_error
from ossature.sim.ai.question import CHAT_FIELDS, ChatRefused
from ossature.sim.provider import BEARER, Provider
from ossature.sim.wire import Reason, Refusal, Reply, Request, retry_after

_OWNER = "system"
_MODELS = (
    *(
        Model(name, 128_000, _OWNER)
        for name in ("gpt-4o", "gpt-4o-mini", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4-turbo")
    ),
    *(Model(name, 1_047_576, _OWNER) for name in ("gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano")),
    *(Model(name, 400_000, _OWNER) for name in ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5.1")),
    *(Model(name, 200_000, _OWNER) for name in ("o3", "o3-mini", "o4-mini")),
    Model("gpt-3.5-turbo", 16_385, _OWNER),
    Model("text-embedding-3-small", 8_191, _OWNER, dimensions=1_536),
    Model("text-embedding-3-large", 8_191, _OWNER, dimensions=3_072),
    Model("text-embedding-ada-002", 8_191, _OWNER, dimensions=1_536),
)


def _dress_reply(value: dict[str, Any], _: Request) -> dict[str, Any]:
    for choice in value["choices"]:
        choice["message"] = {**choice["message"], "refusal": None, "annotations": []}
    return value | {"service_tier": "default", "system_fingerprint": "fp_simulated"}


def _dress_chunk(value: dict[str, Any], _: Request) -> dict[str, Any]:
    return value | {"service_tier": "default", "system_fingerprint": "fp_simulated"}


def _dress_usage(usage: dict[str, Any]) -> dict[str, Any]:
    return usage | {
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


_BROKEN = ChatRefused(
    "The server had an error while processing your request. Sorry about that!", status=500, kind="server_error"
)


def refuse(no: Refusal) -> Reply:
    """Say no as OpenAI does."""
    match no.reason:
        case Reason.NO_KEY:
            refused = ChatRefused("You didn't provide an API key.", status=401)
        case Reason.WRONG_KEY:
            shown = f"{no.key[:3]}***{no.key[-2:]}"
            refused = ChatRefused(f"Incorrect API key provided: {shown}.", status=401, code="invalid_api_key")
        case Reason.THROTTLED:
            unit = no.limit.unit if no.limit else "requests"
            text = f"Rate limit reached on {unit}. Please try again in {no.retry_after_s or 1}s."
            refused = ChatRefused(text, status=no.status, kind=unit, code="rate_limit_exceeded")
        case Reason.NO_SUCH_PATH | Reason.WRONG_METHOD:
            refused = ChatRefused("Invalid URL", status=no.status)
        case _:
            refused = ChatRefused(_BROKEN.message, status=no.status, kind="server_error")
    reply = openai_error(refused)
    return Reply(status=reply.status, body=reply.body, headers=reply.headers + retry_after(no.retry_after_s))


def error_in_200() -> Reply:
    """Put the error body under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


ERROR_EVENT = b"data: " + openai_error(_BROKEN).body + b"\n\n"

DIALECT = Dialect(
    provider_id="openai",
    models=_MODELS,
    refusal=openai_error,
    known_fields=CHAT_FIELDS,
    dress_reply=_dress_reply,
    dress_chunk=_dress_chunk,
    dress_usage=_dress_usage,
)

PROVIDER = Provider(
    id="openai",
    routes=Surface(DIALECT).routes(),
    refuse=refuse,
    error_in_200=error_in_200,
    error_event=ERROR_EVENT,
    credential=BEARER,
)
