"""Chat requests as the OpenAI API has them: what we read of them, what they are called, what they cost.

Only the fields that we act on are read; the others travel as the bytes that came. https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from ossature.kernel.errors import FieldError, InvalidInput, NotFound

Policy = Literal["free_first", "fast", "cheap", "quality", "pinned"]

_Positive = Annotated[int, Meta(ge=1, le=10_000_000)]
_MOST_FALLBACKS = 20
_MOST_CHOICES = 128


class BadChat(InvalidInput):
    """The chat request has not the shape that the OpenAI API describes; `param` says where."""

    title = "Bad chat request"


class ModelNotFound(NotFound):
    """No model has that name here, and no alias; `near` has those that are most alike."""

    title = "Model not found"


class StreamOptions(msgspec.Struct):
    """What a client wants to be told in a stream."""

    include_usage: bool | None = False


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """Which providers may answer, and in which order."""

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool = True


class HubOptions(msgspec.Struct, forbid_unknown_fields=True):
    """The field `hub` of a request: our own wishes, which no upstream sees."""

    policy: Policy | None = None
    provider: Choice | None = None
    deadline_ms: _Positive | None = None
    metadata: dict[str, str] | None = None


class _Head(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1, max_length=200)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: _Positive | None = None
    max_completion_tokens: _Positive | None = None
    n: Annotated[int, Meta(ge=1, le=_MOST_CHOICES)] | None = None
    models: Annotated[list[str], Meta(max_length=_MOST_FALLBACKS)] | None = None
    hub: HubOptions | None = None


_HEADS = msgspec.json.Decoder(_Head)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_NO_OPTIONS = HubOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A client's request. names: the model and its fallbacks, as the client wrote them. fields: every field's own bytes."""

    names: tuple[str, ...]
    fields: Mapping[str, Raw]
    stream: bool
    wants_usage: bool
    max_tokens: int | None
    choices: int
    hub: HubOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A request for one model of one provider. tokens_in, tokens_out: upper bounds of what it will use."""

    model: str
    fields: Mapping[str, Raw]
    stream: bool
    wants_usage: bool
    tokens_in: int
    tokens_out: int

    @property
    def units(self) -> Mapping[str, int]:
        """The bounds as the quota ledger counts them."""
        return Usage(self.tokens_in, self.tokens_out).units


@dataclass(frozen=True, slots=True)
class Usage:
    """What an upstream counted. cached: the part of `tokens_in` that it had seen before."""

    tokens_in: int
    tokens_out: int
    cached: int = 0

    @property
    def units(self) -> Mapping[str, int]:
        """As the quota ledger counts them."""
        return {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "tokens": self.tokens_in + self.tokens_out}


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the bytes of the OpenAI object, and what was counted, if it says so."""

    body: bytes
    usage: Usage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model that a provider is known to have. None where its documents do not say.

    usd_in, usd_out: dollars for a million tokens; with both None its price is unknown, with both 0 it is free.
    """

    id: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    usd_in: float | None = None
    usd_out: float | None = None

    @property
    def is_free(self) -> bool:
        """Whether it is known to cost nothing."""
        return self.usd_in == 0 and self.usd_out == 0

    def cost_microusd(self, tokens_in: int, tokens_out: int) -> int | None:
        """What so many tokens cost, in millionths of a dollar; None where the price is unknown."""
        if self.usd_in is None or self.usd_out is None:
            return None
        # dollars for a million tokens are millionths of a dollar for one token
        return round(self.usd_in * tokens_in + self.usd_out * tokens_out)


@dataclass(frozen=True, slots=True)
class Seat:
    """One model of one provider: a place where a request can be answered."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


def read(body: bytes) -> ChatRequest:
    """The request that these bytes are. Raises: BadChat."""
    try:
        head = _HEADS.decode(body)
        fields = _FIELDS.decode(body)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        param = where.rstrip("`").lstrip(".") or None
        raise BadChat(f"{text}.", param=param, errors=_errors(param, text)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadChat("The body is not a JSON object.", param=None) from None
    if not bytes(fields.get("messages", b"")).startswith(b"["):
        raise BadChat(
            "`messages` is a list and cannot be left out.", param="messages", errors=_errors("messages", "missing")
        )
    return ChatRequest(
        names=(head.model, *(head.models or ())),
        fields=fields,
        stream=bool(head.stream),
        wants_usage=bool(head.stream_options and head.stream_options.include_usage),
        max_tokens=head.max_completion_tokens or head.max_tokens,
        choices=head.n or 1,
        hub=_checked(head.hub),
    )


def _errors(param: str | None, text: str) -> list[FieldError]:
    return [FieldError(f"/{param.replace('.', '/')}", text, "invalid")] if param else []


def _checked(hub: HubOptions | None) -> HubOptions:
    if hub is None:
        return _NO_OPTIONS
    choice = hub.provider
    both = set(choice.only or ()) & set(choice.ignore or ()) if choice else ()
    if both:
        raise BadChat(f"{', '.join(sorted(both))}: both wanted and ignored.", param="hub.provider")
    return hub


DEFAULT_ALIASES: Mapping[str, tuple[str, ...]] = {
    "auto": (
        "groq/llama-3.3-70b-versatile", "mistral/mistral-small-latest", "openrouter/meta-llama/llama-3.3-70b-instruct:free",
        "openai/gpt-4o-mini", "ollama/llama3.2", "local/echo",
    ),
    "fast": ("groq/llama-3.1-8b-instant", "mistral/ministral-8b-latest", "openai/gpt-4.1-nano", "ollama/llama3.2", "local/echo"),
    "cheap": ("groq/llama-3.1-8b-instant", "openai/gpt-4.1-nano", "mistral/mistral-small-latest", "ollama/llama3.2", "local/echo"),
    "quality": (
        "openai/gpt-4.1", "openrouter/anthropic/claude-sonnet-4.5", "mistral/mistral-large-latest",
        "groq/llama-3.3-70b-versatile", "ollama/llama3.2", "local/echo",
    ),
    "code": ("mistral/codestral-latest", "openai/gpt-4.1-mini", "groq/openai/gpt-oss-120b", "ollama/qwen3:8b", "local/echo"),
    "french": ("mistral/mistral-large-latest", "openai/gpt-4.1-mini", "groq/llama-3.3-70b-versatile", "ollama/mistral", "local/echo"),
    "creative": ("mistral/mistral-medium-latest", "openai/gpt-4.1", "groq/llama-3.3-70b-versatile", "ollama/llama3.2", "local/echo"),
}  # fmt: skip
"""What the house calls models, until an operator says otherwise: each stands for the first that can answer."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every model name that is understood here. aliases: name -> `provider/model`s. models: provider -> its known ones."""

    aliases: Mapping[str, Sequence[str]]
    models: Mapping[str, Mapping[str, ModelCard]]
    _bare: dict[str, tuple[Seat, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for provider, cards in self.models.items():
            for name in cards:
                self._bare[name] = (*self._bare.get(name, ()), Seat(provider, name))

    def seats(self, names: Iterable[str]) -> tuple[Seat, ...]:
        """Where these names can be answered, in their order, each once. Raises: ModelNotFound, BadChat."""
        return tuple(dict.fromkeys(seat for name in names for seat in self._of(name)))

    def card(self, seat: Seat) -> ModelCard | None:
        """What is known of a model."""
        return self.models.get(seat.provider, {}).get(seat.model)

    def is_alias(self, name: str) -> bool:
        """Whether a name stands for a list of models."""
        return name in self.aliases

    def _of(self, name: str) -> tuple[Seat, ...]:
        if name in self.aliases:
            return tuple(seat for each in self.aliases[name] for seat in self._of_model(each))
        return self._of_model(name)

    def _of_model(self, name: str) -> tuple[Seat, ...]:
        provider, slash, model = name.partition("/")
        if slash and provider in self.models and model:
            return (Seat(provider, model),)
        found = self._bare.get(name, ())
        if len(found) > 1:
            several = ", ".join(map(str, found))
            raise BadChat(f"More than one provider has {name!r}: write one of {several}.", param="model")
        if not found:
            near = get_close_matches(name, (*self.aliases, *self._bare), n=3, cutoff=0.3)
            raise ModelNotFound(f"There is no model {name!r}.", near=near)
        return found


def wanted(seats: Sequence[Seat], choice: Choice | None) -> tuple[Seat, ...]:
    """The seats that a request lets answer, in its order."""
    if choice is None:
        return tuple(seats)
    kept = [seat for seat in seats if _allows(seat, choice.only, choice.ignore or ())]
    order = {provider: place for place, provider in enumerate(choice.order or ())}
    kept.sort(key=lambda seat: order.get(seat.provider, len(order)))
    return tuple(kept if choice.allow_fallbacks else kept[:1])


def _allows(seat: Seat, only: Collection[str] | None, ignore: Collection[str]) -> bool:
    return seat.provider not in ignore and (only is None or seat.provider in only)
