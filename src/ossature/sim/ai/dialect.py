"""The OpenAI-compatible surface, with the points where upstreams differ: `Dialect`, and a `Surface` that answers in it.

Sources: platform.openai.com/docs/api-reference/chat, console.groq.com/docs, docs.mistral.ai/api,
openrouter.ai/docs, docs.ollama.com/openai.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from ossature.sim.ai.mind import Thought, think
from ossature.sim.ai.question import ChatRefused, Question, parse, parse_object, tokens
from ossature.sim.ai.vectors import embed, packed
from ossature.sim.provider import Route
from ossature.sim.wire import Headers, Json, Reply, Request, json_reply

# own: a last chunk without choices, on request. finish: on the chunk that finishes, always. repeated: on a further
# chunk that repeats the finish, always. groq: in `x_groq` of the finishing chunk always, and `own` on request.
UsagePlace = Literal["own", "finish", "repeated", "groq"]
DONE = b"data: [DONE]\n\n"
STREAM_HEADERS: Headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
_WORDS_PER_CHUNK = 2


@dataclass(frozen=True, slots=True)
class Model:
    """One model: a chat model, or one for embeddings when it has dimensions. thinks: it shows its reasoning."""

    id: str
    context_tokens: int
    owner: str
    dimensions: int = 0
    thinks: bool = False


def _nothing(_: Request, __: Question, ___: Thought) -> Headers:
    return ()


def _unchanged(value: dict[str, Any], _: Request) -> dict[str, Any]:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one upstream differs.

    refusal: its error body. known_fields: the fields it accepts, None = it ignores what it does not know.
    dress_reply, dress_chunk: put its own fields into an answer or a chunk. prelude: events before the first chunk.
    list_models: its `GET /models`, when the OpenAI form is not it. limit_headers: what it tells of its limits.
    cuts_long_prompts: it shortens a prompt that is too long instead of refusing it.
    default_tag: what a model's name without it stands for. too_long: its words for a prompt that is too long.
    """

    provider_id: str
    models: tuple[Model, ...]
    refusal: Callable[[ChatRefused], Reply]
    known_fields: Collection[str] | None = None
    usage_place: UsagePlace = "own"
    completion_id: str = "chatcmpl-"
    call_id: str = "call_"
    reasoning_field: str | None = None
    dress_reply: Callable[[dict[str, Any], Request], dict[str, Any]] = _unchanged
    dress_chunk: Callable[[dict[str, Any], Request], dict[str, Any]] = _unchanged
    dress_usage: Callable[[dict[str, Any]], dict[str, Any]] = lambda usage: usage
    limit_headers: Callable[[Request, Question, Thought], Headers] = _nothing
    prelude: tuple[bytes, ...] = ()
    list_models: Callable[[tuple[Model, ...]], Any] | None = None
    cuts_long_prompts: bool = False
    default_tag: str = ""
    too_long: Callable[[Question, Model], ChatRefused] | None = None


def openai_error(refused: ChatRefused) -> Reply:
    """Return the error body of OpenAI."""
    error = {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}
    return json_reply({"error": error}, status=refused.status)


def _too_long(question: Question, model: Model) -> ChatRefused:
    return ChatRefused(
        f"This model's maximum context length is {model.context_tokens} tokens. However, your messages resulted in "
        f"{question.prompt_tokens} tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


class Surface:
    """The handlers of one upstream."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._models = {model.id: model for model in dialect.models}

    def routes(self) -> tuple[Route, ...]:
        """Return the paths below the base URL."""
        return (
            Route(
                "POST",
                "/chat/completions",
                "ai.chat",
                self._answering(self._chat),
                vital="choices.0.message",
                vital_in_stream="choices.0.delta",
            ),
            Route("POST", "/embeddings", "embeddings.embed", self._answering(self._embed), vital="data.*.embedding"),
            Route("GET", "/models", "ai.models", self._list, vital="data"),
            Route("GET", "/models/{id:path}", "ai.models", self._answering(self._one), vital="id"),
        )

    def _answering(self, handler: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
        def answer(request: Request) -> Reply:
            try:
                return handler(request)
            except ChatRefused as refused:
                return self._dialect.refusal(refused)

        return answer

    def _model(self, name: object) -> Model:
        model = None
        if isinstance(name, str):
            model = self._models.get(name) or self._models.get(name + self._dialect.default_tag)
        if model is None:
            raise ChatRefused(
                f"The model `{name}` does not exist or you do not have access to it.",
                status=404,
                code="model_not_found",
            )
        return model

    def _chat(self, request: Request) -> Reply:
        dialect = self._dialect
        question = parse(request.body, known_fields=dialect.known_fields)
        model = self._model(question.model)
        if model.dimensions:
            raise ChatRefused("This is not a chat model.", status=404, param="model")
        if question.prompt_tokens > model.context_tokens and not dialect.cuts_long_prompts:
            raise (dialect.too_long or _too_long)(question, model)
        thought = think(question, provider_id=dialect.provider_id)
        writer = _Writer(dialect, request, question=question, model=model, thought=thought)
        reply = writer.stream() if question.is_streamed else writer.whole()
        headers = dialect.limit_headers(request, question, thought)
        return replace(reply, headers=reply.headers + headers) if headers else reply

    def _embed(self, request: Request) -> Reply:
        fields = parse_object(request.body)
        model = self._model(fields.get("model"))
        if not model.dimensions:
            raise ChatRefused("You are not allowed to generate embeddings from this model", status=403)
        texts = _inputs(fields.get("input"))
        dimensions = fields.get("dimensions") or model.dimensions
        if not isinstance(dimensions, int) or not 1 <= dimensions <= model.dimensions:
            raise ChatRefused(f"Invalid value for 'dimensions' = {dimensions}.", param="dimensions")
        shape = packed if fields.get("encoding_format") == "base64" else list
        vectors = [embed(text, model=model.id, dimensions=dimensions) for text in texts]
        used = sum(map(tokens, texts))
        return json_reply(
            {
                "object": "list",
                "data": [{"object": "embedding", "index": i, "embedding": shape(v)} for i, v in enumerate(vectors)],
                "model": model.id,
                "usage": {"prompt_tokens": used, "total_tokens": used},
            },
            units={"tokens": used},
        )

    def _list(self, _: Request) -> Reply:
        if self._dialect.list_models:
            return json_reply(self._dialect.list_models(self._dialect.models))
        return json_reply({"object": "list", "data": [_described(model) for model in self._dialect.models]})

    def _one(self, request: Request) -> Reply:
        return json_reply(_described(self._model(request.args["id"])))


def _described(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 1_735_689_600, "owned_by": model.owner}


def _inputs(value: Json) -> list[str]:
    """Return the texts to embed; lists of token numbers count as texts of their own. Raises: ChatRefused."""
    match value:
        case str() if value:
            return [value]
        case [int(), *_]:
            return [" ".join(f"{number}" for number in value)]
        case [*items] if items and all(isinstance(item, str | list) and item for item in items):
            return [item if isinstance(item, str) else " ".join(map(str, item)) for item in items]
    raise ChatRefused("'$.input' is invalid. Please check the API reference.", param="input")


class _Writer:
    """Writes one answer, whole or as events."""

    def __init__(
        self, dialect: Dialect, request: Request, *, question: Question, model: Model, thought: Thought
    ) -> None:
        self._dialect = dialect
        self._request = request
        self._question = question
        self._model = model
        self._thought = thought
        self._created = int(request.now.timestamp())
        self._id = f"{dialect.completion_id}sim{request.world.seed:x}{request.serial:012x}"

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self._question.prompt_tokens, self._thought.completion_tokens * self._choices
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return self._dialect.dress_usage(usage)

    @property
    def _choices(self) -> int:
        return int(self._question.fields.get("n") or 1)

    def _units(self) -> dict[str, int]:
        return {"tokens": self._question.prompt_tokens + self._thought.completion_tokens * self._choices}

    def _calls(self) -> list[dict[str, Any]]:
        serial = self._request.serial
        return [
            {
                "id": f"{self._dialect.call_id}{serial:06x}{index:02x}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(self._thought.calls)
        ]

    def _reasoning(self) -> dict[str, str]:
        if self._dialect.reasoning_field is None or not self._model.thinks:
            return {}
        return {self._dialect.reasoning_field: "The rules say what to answer, so I answer that."}

    def whole(self) -> Reply:
        """Return the answer as one object."""
        thought = self._thought
        message: dict[str, Any] = {"role": "assistant", "content": None if thought.calls else thought.text}
        message |= self._reasoning()
        if thought.calls:
            message["tool_calls"] = self._calls()
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": thought.finish_reason}
            for index in range(self._choices)
        ]
        value = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model.id,
            "choices": choices,
            "usage": self._usage(),
        }
        return json_reply(self._dialect.dress_reply(value, self._request), units=self._units())

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        value = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model.id,
            "choices": choices,
            **more,
        }
        return b"data: " + orjson.dumps(self._dialect.dress_chunk(value, self._request)) + b"\n\n"

    def _part(self, delta: dict[str, Any], *, finish: str | None = None, choice: int = 0, **more: Any) -> bytes:
        part = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._chunk([part], **self._empty_usage(), **more)

    def _empty_usage(self) -> dict[str, None]:
        asked = self._dialect.usage_place == "own" and self._question.wants_usage
        return {"usage": None} if asked else {}

    def _deltas(self) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"content": text} for text in _pieces(self._thought.text)]
        for index, call in enumerate(self._calls()):
            arguments = call["function"]["arguments"]
            opening = {"name": call["function"]["name"], "arguments": ""}
            deltas.append({"tool_calls": [{"index": index, **call, "function": opening}]})
            for start in range(0, len(arguments), 12):
                piece = {"index": index, "function": {"arguments": arguments[start : start + 12]}}
                deltas.append({"tool_calls": [piece]})
        return deltas

    def stream(self) -> Reply:
        """Return the answer as server-sent events, one write each."""
        events = list(self._dialect.prelude)
        for choice in range(self._choices):
            content = None if self._thought.calls else ""
            events.append(self._part({"role": "assistant", "content": content}, choice=choice))
            if self._reasoning():
                events.append(self._part(self._reasoning(), choice=choice))
            events.extend(self._ending(self._deltas(), choice))
        if self._question.wants_usage and self._dialect.usage_place in {"own", "groq"}:
            events.append(self._chunk([], usage=self._usage()))
        return Reply(headers=STREAM_HEADERS, events=(*events, DONE), units=self._units())

    def _ending(self, deltas: list[dict[str, Any]], choice: int) -> list[bytes]:
        """Return the events of the content and of its end, with the usage where this upstream puts it."""
        finish, place = self._thought.finish_reason, self._dialect.usage_place
        if place == "finish":
            # The last words come together with the end and the usage: dropping that chunk would lose text.
            *before, last = deltas or [{"content": ""}]
            parts = [self._part(delta, choice=choice) for delta in before]
            return [*parts, self._part(last, finish=finish, choice=choice, usage=self._usage())]
        parts = [self._part(delta, choice=choice) for delta in deltas]
        if place == "groq":
            more = {"x_groq": {"id": f"req_{self._id}", "usage": self._usage()}}
            return [*parts, self._part({}, finish=finish, choice=choice, **more)]
        end = [self._part({"content": ""} if place == "repeated" else {}, finish=finish, choice=choice)]
        if place == "repeated" and choice == self._choices - 1:
            end.append(
                self._part({"role": "assistant", "content": ""}, finish=finish, choice=choice, usage=self._usage())
            )
        return parts + end


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    spaced = [word if index == len(words) - 1 else word + " " for index, word in enumerate(words)]
    return (
        ["".join(spaced[at : at + _WORDS_PER_CHUNK]) for at in range(0, len(spaced), _WORDS_PER_CHUNK)] if text else []
    )
