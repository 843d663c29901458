"""Ollama: https://docs.ollama.com/openai. A machine of one's own: no key, no limits, long prompts are cut."""

from typing import Any

from ossature.sim.ai.dialect import Dialect, Model, Surface, openai_error
from ossature.sim.ai.question import ChatRefused
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import Refusal, Reply, Request, json_reply, retry_after, text_reply

_MODELS = (
    Model("llama3.2:latest", 131_072, "library"),
    Model("llama3.1:8b", 131_072, "library"),
    Model("mistral:latest", 32_768, "library"),
    Model("qwen3:8b", 40_960, "library", thinks=True),
    Model("nomic-embed-text:latest", 2_048, "library", dimensions=768),
)


def _tags(request: Request) -> Reply:
    rows = [
        {
            "name": model.id,
            "model": model.id,
            "modified_at": "2026-01-05T12:00:00Z",
            "size": 4_000_000_000,
            "digest": f"{int(request.world.fraction(model.id) * (1 << 48)):012x}".ljust(64, "0"),
            "details": {"format": "gguf", "family": model.id.partition(":")[0], "quantization_level": "Q4_K_M"},
        }
        for model in _MODELS
    ]
    return json_reply({"models": rows})


def _version(_: Request) -> Reply:
    return json_reply({"version": "0.12.0"})


def _error(refused: ChatRefused) -> Reply:
    if refused.code == "model_not_found":
        name = refused.message.split("`")[1]
        text = f'model "{name}" not found, try pulling it first'
        return openai_error(ChatRefused(text, status=404, kind="not_found_error"))
    return openai_error(ChatRefused(refused.message, status=refused.status))


def refuse(no: Refusal) -> Reply:
    """Say no as Ollama does."""
    if no.status in {404, 405}:
        return text_reply(f"{no.status} page not found", status=no.status)
    kind = "rate_limit_error" if no.status == 429 else "api_error"
    reply = openai_error(ChatRefused("server busy, please try again", status=no.status, kind=kind))
    return Reply(status=reply.status, body=reply.body, headers=reply.headers + retry_after(no.retry_after_s))


def error_in_200() -> Reply:
    """Put the error of a crashed runner under status 200."""
    return openai_error(ChatRefused("llama runner process has terminated", status=200, kind="api_error"))


def _dress_chunk(value: dict[str, Any], _: Request) -> dict[str, Any]:
    for choice in value["choices"]:
        del choice["logprobs"]
    return value | {"system_fingerprint": "fp_ollama"}


def _dress_reply(value: dict[str, Any], _: Request) -> dict[str, Any]:
    return value | {"system_fingerprint": "fp_ollama"}


DIALECT = Dialect(
    provider_id="ollama",
    models=_MODELS,
    default_tag=":latest",
    refusal=_error,
    reasoning_field="reasoning",
    dress_reply=_dress_reply,
    dress_chunk=_dress_chunk,
    cuts_long_prompts=True,
)

PROVIDER = Provider(
    id="ollama",
    routes=(
        *Surface(DIALECT).routes(),
        Route("GET", "/api/tags", "ai.models", _tags, vital="models"),
        Route("GET", "/api/version", "ai.models", _version, vital="version"),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
    error_event=b"data: " + error_in_200().body + b"\n\n",
)
