"""OpenRouter: https://openrouter.ai/docs. Comments before the first chunk, numbers as error codes, errors inside 200."""

from collections.abc import Mapping
from typing import Any

from ossature.sim.ai.dialect import Dialect, Model, Surface
from ossature.sim.ai.question import ChatRefused, Question, parse_object
from ossature.sim.limits import Limit
from ossature.sim.provider import BEARER, Provider
from ossature.sim.wire import Reason, Refusal, Reply, Request, json_reply, retry_after

_MODELS = (
    Model("openai/gpt-4o-mini", 128_000, "openai"),
    Model("openai/gpt-4.1-mini", 1_047_576, "openai"),
    Model("anthropic/claude-sonnet-4.5", 200_000, "anthropic"),
    Model("google/gemini-2.5-flash", 1_048_576, "google"),
    Model("mistralai/mistral-small-3.2-24b-instruct", 128_000, "mistralai"),
    Model("meta-llama/llama-3.3-70b-instruct", 131_072, "meta-llama"),
    Model("meta-llama/llama-3.3-70b-instruct:free", 65_536, "meta-llama"),
    Model("deepseek/deepseek-r1", 163_840, "deepseek", thinks=True),
    Model("deepseek/deepseek-r1:free", 163_840, "deepseek", thinks=True),
    Model("openrouter/auto", 2_000_000, "openrouter"),
)
_FREE = "free_requests"


def _units(request: Request) -> Mapping[str, int]:
    try:
        model = parse_object(request.body).get("model")
    except ChatRefused:
        return {"requests": 1}
    return {"requests": 1, _FREE: 1} if isinstance(model, str) and model.endswith(":free") else {"requests": 1}


def _dress(value: dict[str, Any], _: Request) -> dict[str, Any]:
    for choice in value["choices"]:
        choice["native_finish_reason"] = choice["finish_reason"]
    return {"id": value.pop("id"), "provider": "Simulated", **value}


def _dress_usage(usage: dict[str, Any]) -> dict[str, Any]:
    return usage | {"cost": round(usage["total_tokens"] * 1e-6, 8), "is_byok": False}


def _body(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": status}}


def _error(refused: ChatRefused) -> Reply:
    if refused.code == "model_not_found":
        name = refused.message.split("`")[1]
        return json_reply(_body(400, f"{name} is not a valid model ID"), status=400)
    return json_reply(_body(refused.status, refused.message), status=refused.status)


def _too_long(question: Question, model: Model) -> ChatRefused:
    return ChatRefused(
        f"This endpoint's maximum context length is {model.context_tokens} tokens. However, you requested about "
        f"{question.prompt_tokens} tokens. Please reduce the length of either one.",
    )


def _list(models: tuple[Model, ...]) -> dict[str, Any]:
    return {
        "data": [
            {
                "id": model.id,
                "canonical_slug": model.id,
                "name": model.id,
                "created": 1_735_689_600,
                "context_length": model.context_tokens,
                "architecture": {"modality": "text+image->text", "input_modalities": ["text", "image"]},
                "pricing": dict.fromkeys(("prompt", "completion"), "0" if model.id.endswith(":free") else "0.000001"),
                "supported_parameters": ["max_tokens", "response_format", "temperature", "tool_choice", "tools"],
            }
            for model in models
        ],
    }


def refuse(no: Refusal) -> Reply:
    """Say no as OpenRouter does: the status again as an integer code."""
    match no.reason:
        case Reason.NO_KEY:
            message = "No auth credentials found"
        case Reason.WRONG_KEY:
            message = "User not found."
        case Reason.THROTTLED:
            period = "day" if no.limit and no.limit.period == "day" else "min"
            message = f"Rate limit exceeded: free-models-per-{period}. "
        case Reason.NO_SUCH_PATH | Reason.WRONG_METHOD:
            message = "Not Found"
        case _:
            message = "Provider returned error"
    return json_reply(_body(no.status, message), status=no.status, headers=retry_after(no.retry_after_s))


def error_in_200() -> Reply:
    """Put a 502 into the body of a 200."""
    return json_reply(_body(502, "Provider returned error"))


_ERROR_EVENT = (
    b'data: {"id":"gen-sim","object":"chat.completion.chunk","created":0,"model":"simulated","provider":"Simulated",'
    b'"error":{"code":502,"message":"Provider disconnected"},'
    b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n'
)

DIALECT = Dialect(
    provider_id="openrouter",
    models=_MODELS,
    refusal=_error,
    usage_place="repeated",
    completion_id="gen-",
    reasoning_field="reasoning",
    dress_reply=_dress,
    dress_chunk=_dress,
    dress_usage=_dress_usage,
    prelude=(b": OPENROUTER PROCESSING\n\n", b": OPENROUTER PROCESSING\n\n"),
    list_models=_list,
    too_long=_too_long,
)

PROVIDER = Provider(
    id="openrouter",
    routes=Surface(DIALECT).routes(),
    refuse=refuse,
    error_in_200=error_in_200,
    error_event=_ERROR_EVENT,
    credential=BEARER,
    limits=(Limit(20, "minute", _FREE), Limit(50, "day", _FREE)),
    units=_units,
)
