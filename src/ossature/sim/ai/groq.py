"""Groq: https://console.groq.com/docs. Limits per model, told in headers; usage of a stream in `x_groq`.

In `x-ratelimit-*` the requests are those of the day and the tokens those of the minute.
"""

from collections.abc import Mapping
from typing import Any

from ossature.sim.ai.dialect import Dialect, Model, Surface
from ossature.sim.ai.mind import Thought
from ossature.sim.ai.question import CHAT_FIELDS, ChatRefused, Question, parse_object
from ossature.sim.limits import Limit
from ossature.sim.provider import BEARER, Provider
from ossature.sim.wire import Headers, Reason, Refusal, Reply, Request, json_reply, retry_after

# model: requests per day
_PER_DAY = {
    "llama-3.3-70b-versatile": 1_000,
    "llama-3.1-8b-instant": 14_400,
    "openai/gpt-oss-120b": 1_000,
    "openai/gpt-oss-20b": 1_000,
}
_MODELS = tuple(
    Model(name, 131_072, "OpenAI" if name.startswith("openai/") else "Meta", thinks="gpt-oss" in name)
    for name in _PER_DAY
)


def _units(request: Request) -> Mapping[str, int]:
    try:
        model = parse_object(request.body).get("model")
    except ChatRefused:
        return {}
    return {f"requests:{model}": 1}


def _span(seconds: float) -> str:
    """Return the time as Groq writes it: `7.66s`, `2m59.56s`."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.2f}s" if minutes else f"{rest:.2f}s"


def _limit_headers(request: Request, question: Question, thought: Thought) -> Headers:
    headers: list[tuple[bytes, bytes]] = []
    spent = question.prompt_tokens + thought.completion_tokens
    for state in request.windows:
        of_day = state.limit.period == "day"
        if not of_day and state.limit.unit != "tokens":
            continue
        kind = "requests" if of_day else "tokens"
        remaining = state.remaining if of_day else max(0, state.remaining - spent)
        values = {"limit": str(state.limit.most), "remaining": str(remaining), "reset": _span(state.reset_s)}
        headers.extend((f"x-ratelimit-{name}-{kind}".encode(), value.encode()) for name, value in values.items())
    return tuple(headers)


def _dress_reply(value: dict[str, Any], _: Request) -> dict[str, Any]:
    return value | {"system_fingerprint": "fp_simulated", "x_groq": {"id": f"req_{value['id']}"}}


def _dress_chunk(value: dict[str, Any], _: Request) -> dict[str, Any]:
    first = bool(value["choices"]) and value["choices"][0]["delta"].get("role")
    more = {"x_groq": {"id": f"req_{value['id']}"}} if first else {}
    return value | {"system_fingerprint": "fp_simulated"} | more


def _dress_usage(usage: dict[str, Any]) -> dict[str, Any]:
    times = {"queue_time": 0.001, "prompt_time": 0.002, "completion_time": 0.01, "total_time": 0.012}
    return usage | times


def refuse(no: Refusal) -> Reply:
    """Say no as Groq does."""
    match no.reason:
        case Reason.NO_KEY | Reason.WRONG_KEY:
            refused = ChatRefused("Invalid API Key", status=401, code="invalid_api_key")
        case Reason.THROTTLED:
            kind = "tokens" if no.limit and no.limit.unit == "tokens" else "requests"
            text = f"Rate limit reached on {kind}. Please try again in {_span(no.retry_after_s or 1)}."
            refused = ChatRefused(text, status=no.status, kind=kind, code="rate_limit_exceeded")
        case Reason.NO_SUCH_PATH | Reason.WRONG_METHOD:
            refused = ChatRefused("Unknown request URL.", status=no.status, code="unknown_url")
        case _:
            refused = ChatRefused("Internal Server Error", status=no.status, kind="internal_server_error")
    reply = _error(refused)
    return Reply(status=reply.status, body=reply.body, headers=reply.headers + retry_after(no.retry_after_s))


def _error(refused: ChatRefused) -> Reply:
    """Leave out what is null, as Groq does."""
    error = {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}
    return json_reply({"error": {name: value for name, value in error.items() if value}}, status=refused.status)


def error_in_200() -> Reply:
    """Put the error body under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


def _too_long(_: Question, __: Model) -> ChatRefused:
    text = "Please reduce the length of the messages or completion."
    return ChatRefused(text, param="messages", code="context_length_exceeded")


DIALECT = Dialect(
    provider_id="groq",
    models=_MODELS,
    refusal=_error,
    known_fields=CHAT_FIELDS | {"reasoning_format", "include_reasoning"},
    usage_place="groq",
    reasoning_field="reasoning",
    dress_reply=_dress_reply,
    dress_chunk=_dress_chunk,
    dress_usage=_dress_usage,
    limit_headers=_limit_headers,
    too_long=_too_long,
)

PROVIDER = Provider(
    id="groq",
    routes=Surface(DIALECT).routes(),
    refuse=refuse,
    error_in_200=error_in_200,
    error_event=b"event: error\ndata: " + error_in_200().body + b"\n\n",
    credential=BEARER,
    limits=(
        *(Limit(30, "minute", f"requests:{name}") for name in _PER_DAY),
        *(Limit(per_day, "day", f"requests:{name}") for name, per_day in _PER_DAY.items()),
        Limit(100_000, "minute", "tokens"),
    ),
    units=_units,
)
