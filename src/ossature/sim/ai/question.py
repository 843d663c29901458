"""A chat request as an OpenAI-compatible upstream understands it, checked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_IMAGE_TOKENS = 85
_MAX_TEMPERATURE = 2
_MAX_CHOICES = 8

# What the upstreams that check their input know; another name is refused by them.
CHAT_FIELDS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "reasoning_effort", "response_format", "safety_identifier", "seed",
    "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs",
    "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip


class ChatRefused(Exception):  # noqa: N818 - the upstream's refusal, not an error of ours
    """The upstream does not accept the request; status and words as OpenAI has them, each dialect rewords them."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """One checked chat request. text: what the user said last; images: how many picture parts there are."""

    model: str
    messages: list[dict[str, Any]]
    fields: Mapping[str, Any]
    text: str
    images: int
    prompt_tokens: int

    @property
    def is_streamed(self) -> bool:
        """Whether the answer shall come as events."""
        return self.fields.get("stream") is True

    @property
    def wants_usage(self) -> bool:
        """Whether `stream_options.include_usage` is set."""
        options = self.fields.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def max_tokens(self) -> int | None:
        """How long the answer may be, by whichever of the two names."""
        most = self.fields.get("max_completion_tokens") or self.fields.get("max_tokens")
        return most if isinstance(most, int) else None


def tokens(text: str) -> int:
    """Return how many tokens the text counts here: a quarter of its bytes."""
    return (len(text.encode()) + 3) // 4


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of the body. Raises: ChatRefused."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ChatRefused("We could not parse the JSON body of your request.") from None
    if not isinstance(value, dict):
        raise ChatRefused("The JSON body must be an object.")
    return value


def parse(body: bytes, *, known_fields: Collection[str] | None) -> Question:
    """Return the question. known_fields: what may occur, None = anything. Raises: ChatRefused."""
    fields = parse_object(body)
    if known_fields is not None:
        for name in fields:
            if name not in known_fields:
                raise ChatRefused(
                    f"Unrecognized request argument supplied: {name}", code="unknown_parameter", param=name
                )
    model, messages = fields.get("model"), fields.get("messages")
    if not isinstance(model, str) or not model:
        raise ChatRefused("you must provide a model parameter")
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list) or not messages:
        raise ChatRefused(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    _check_numbers(fields)
    _check_shapes(fields)
    return _read(model, messages, fields=fields)


def _missing(name: str) -> ChatRefused:
    return ChatRefused(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def _check_numbers(fields: Mapping[str, Any]) -> None:
    temperature = fields.get("temperature")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= _MAX_TEMPERATURE):
        raise ChatRefused(
            f"Invalid 'temperature': {temperature}. Expected a value between 0 and 2.",
            param="temperature",
            code="decimal_above_max_value",
        )
    for name, least, most in (
        ("max_tokens", 1, 1 << 31),
        ("max_completion_tokens", 1, 1 << 31),
        ("n", 1, _MAX_CHOICES),
    ):
        value = fields.get(name)
        if value is not None and not (isinstance(value, int) and least <= value <= most):
            raise ChatRefused(f"Invalid '{name}': {value}.", param=name, code="invalid_value")


def _check_shapes(fields: Mapping[str, Any]) -> None:
    stop = fields.get("stop")
    marks = stop if isinstance(stop, list) else [stop or ""]
    if not all(isinstance(mark, str) for mark in marks):
        raise ChatRefused("Invalid type for 'stop'.", param="stop", code="invalid_type")
    tools = fields.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise ChatRefused("Invalid type for 'tools': expected an array.", param="tools", code="invalid_type")
    for index, tool in enumerate(tools or ()):
        match tool:
            case {"type": "function", "function": {"name": str(), **rest}} if isinstance(
                rest.get("parameters"), dict | None
            ):
                continue
        raise ChatRefused(f"Invalid value for 'tools[{index}]'.", param=f"tools[{index}]", code="invalid_value")


def _tool_calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise ChatRefused("Invalid type for 'messages.tool_calls'.", param="messages", code="invalid_type")
    return calls


def _read(model: str, messages: list[Any], *, fields: Mapping[str, Any]) -> Question:
    text, images, total = "", 0, 0
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise ChatRefused(
                f"Invalid value: '{role}'. Supported values are: {', '.join(sorted(_ROLES))}.",
                param=f"messages[{index}].role",
                code="invalid_value",
            )
        said, pictures = content_of(message)
        total += 4 + tokens(said) + _IMAGE_TOKENS * pictures
        images += pictures
        if role == "user":
            text = said
    _check_tool_order(messages)
    return Question(model, messages, fields, text, images, total)


def content_of(message: Mapping[str, Any]) -> tuple[str, int]:
    """Return the text of a message and the number of its pictures. Raises: ChatRefused for an unknown part."""
    content = message.get("content")
    if content is None:
        return "", 0
    if isinstance(content, str):
        return content, 0
    if not isinstance(content, list):
        raise ChatRefused("Invalid type for 'messages.content': expected a string or an array.", code="invalid_type")
    texts, pictures = [], 0
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str()} | str()}:
                pictures += 1
            case {"type": "input_audio" | "file" | "refusal"}:
                continue
            case _:
                raise ChatRefused("Invalid content part in 'messages.content'.", param="messages", code="invalid_value")
    return " ".join(texts), pictures


def _check_tool_order(messages: list[dict[str, Any]]) -> None:
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            open_calls = {str(call.get("id", "")) for call in _tool_calls(message)}
        elif message["role"] == "tool" and message.get("tool_call_id") not in open_calls:
            raise ChatRefused(
                "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                param=f"messages.[{index}].role",
            )
