"""Mistral: https://docs.mistral.ai/api. Refuses fields it does not know; usage on the finishing chunk; padding `p`."""

from typing import Any

from ossature.sim.ai.dialect import Dialect, Model, Surface
from ossature.sim.ai.question import ChatRefused, Question
from ossature.sim.provider import BEARER, Provider
from ossature.sim.wire import Reason, Refusal, Reply, Request, json_reply, retry_after

_FIELDS = frozenset({
    "frequency_penalty", "max_tokens", "messages", "metadata", "model", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_mode", "random_seed", "response_format", "safe_prompt", "stop", "stream",
    "temperature", "tool_choice", "tools", "top_p",
})  # fmt: skip
_MODELS = (
    *(
        Model(name, 131_072, "mistralai")
        for name in ("mistral-small-latest", "mistral-medium-latest", "mistral-large-latest", "ministral-8b-latest")
    ),
    Model("codestral-latest", 262_144, "mistralai"),
    Model("open-mistral-nemo", 131_072, "mistralai"),
    Model("pixtral-12b-2409", 131_072, "mistralai"),
    Model("mistral-embed", 8_192, "mistralai", dimensions=1_024),
)
_PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"


def _dress_chunk(value: dict[str, Any], _: Request) -> dict[str, Any]:
    for choice in value["choices"]:
        del choice["logprobs"]
    # Padding of varying length hides how long the words are.
    return value | {"p": _PADDING[: 1 + sum(map(len, map(str, value["choices"]))) % len(_PADDING)]}


def _dress_reply(value: dict[str, Any], _: Request) -> dict[str, Any]:
    for choice in value["choices"]:
        del choice["logprobs"]
        choice["message"].setdefault("tool_calls", None)
    return value


def _error(refused: ChatRefused) -> Reply:
    if refused.code == "unknown_parameter":
        location = ["body", refused.param]
        detail = {"type": "extra_forbidden", "loc": location, "msg": "Extra inputs are not permitted", "input": None}
        return json_reply({"detail": [detail]}, status=422)
    if refused.code == "model_not_found":
        name = refused.message.split("`")[1]
        return _object(400, f"Invalid model: {name}", kind="invalid_model", code="1500")
    if (
        refused.code in {"missing_required_parameter", "invalid_value", "invalid_type"}
        or refused.param == "temperature"
    ):
        detail = {"type": "value_error", "loc": ["body", refused.param], "msg": refused.message, "input": None}
        return json_reply({"detail": [detail]}, status=422)
    return _object(refused.status, refused.message, kind="invalid_request_error", code=refused.code)


def _object(status: int, message: str, *, kind: str, code: str | None) -> Reply:
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": code}
    return json_reply(body, status=status)


def _too_long(question: Question, model: Model) -> ChatRefused:
    text = (
        f"Prompt contains {question.prompt_tokens} tokens and 0 draft tokens, too large for model with "
        f"{model.context_tokens} maximum context length"
    )
    return ChatRefused(text, code="3051")


def refuse(no: Refusal) -> Reply:
    """Say no as Mistral does: `detail` from its gateway, an object of type error from behind it."""
    match no.reason:
        case Reason.NO_KEY | Reason.WRONG_KEY:
            return json_reply({"detail": "Unauthorized"}, status=401)
        case Reason.THROTTLED:
            reply = _object(no.status, "Rate limit exceeded", kind="rate_limited", code="1300")
            return Reply(status=reply.status, body=reply.body, headers=reply.headers + retry_after(no.retry_after_s))
        case Reason.NO_SUCH_PATH | Reason.WRONG_METHOD:
            return json_reply({"detail": "Not Found"}, status=no.status)
        case _:
            return _object(no.status, "Service unavailable.", kind="internal_server_error", code="3000")


def error_in_200() -> Reply:
    """Put the error body under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


DIALECT = Dialect(
    provider_id="mistral",
    models=_MODELS,
    refusal=_error,
    known_fields=_FIELDS,
    usage_place="finish",
    completion_id="",
    call_id="c",
    dress_reply=_dress_reply,
    dress_chunk=_dress_chunk,
    too_long=_too_long,
)

PROVIDER = Provider(
    id="mistral",
    routes=Surface(DIALECT).routes(),
    refuse=refuse,
    error_in_200=error_in_200,
    error_event=b"data: " + error_in_200().body + b"\n\n",
    credential=BEARER,
)
