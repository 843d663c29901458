"""The raw ASGI applications of the hub, with what OpenAPI says of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ossature.kernel.service import Mount, Policy
from ossature.services.hub.api.chat import ChatCompletions
from ossature.services.hub.api.models import Models
from ossature.services.hub.api.openai_shape import refuse
from ossature.services.hub.providers import MODEL_PROVIDERS
from ossature.services.hub.settings import HubSettings
from ossature.services.hub.usecases.chat import Chats

if TYPE_CHECKING:
    from ossature.kernel.house import House

_ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "problem_type", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
                "problem_type": {"type": "string", "format": "uri"},
                "request_id": {"type": "string"},
            },
        }
    },
}
_REFUSED: Mapping[str, Any] = {
    "description": "Refused, in the form of the OpenAI API.",
    "content": {"application/json": {"schema": _ERROR}},
}
_QUESTION: Mapping[str, Any] = {
    "type": "object",
    "description": "As the OpenAI API has it, with `models` (fallbacks) and `hub` of our own.",
    "required": ["model", "messages"],
    "properties": {
        "model": {
            "type": "string",
            "description": "`provider/model`, a bare name that only one has, or `auto`, `fast`, `cheap`.",
        },
        "messages": {"type": "array", "items": {"type": "object"}},
        "stream": {"type": "boolean", "default": False},
        "max_completion_tokens": {"type": "integer", "minimum": 1},
        "models": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Asked in this order if `model` cannot answer.",
        },
        "hub": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "policy": {"enum": ["free_first", "fast", "cheap", "quality", "pinned"]},
                "provider": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "order": {"type": "array", "items": {"type": "string"}},
                        "only": {"type": "array", "items": {"type": "string"}},
                        "ignore": {"type": "array", "items": {"type": "string"}},
                        "allow_fallbacks": {"type": "boolean", "default": True},
                    },
                },
                "deadline_ms": {"type": "integer", "minimum": 1},
                "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    },
    "additionalProperties": True,
}
_EXAMPLE: Mapping[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}


def _operation(name: str, summary: str, answer: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["ai"],
        "responses": {"200": answer, "default": _REFUSED},
        **more,
    }


def _json(description: str) -> Mapping[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}


_CHAT_PATHS = {
    "/v1/chat/completions": {
        "post": _operation(
            "create_chat_completion",
            "Ask a language model",
            {
                "description": "An OpenAI chat completion, or with `stream` its chunks as server-sent events.",
                "content": {
                    "application/json": {"schema": {"type": "object"}},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            requestBody={
                "required": True,
                "content": {"application/json": {"schema": _QUESTION, "example": _EXAMPLE}},
            },
        )
    }
}
_MODEL_LIST_PATHS = {"/v1/models": {"get": _operation("list_models", "List usable models", _json("A list of models."))}}
_MODEL_PATHS = {
    "/v1/models/{model}": {
        "get": _operation(
            "read_model",
            "Read a model",
            _json("A model."),
            parameters=[
                {
                    "name": "model",
                    "in": "path",
                    "required": True,
                    "description": "Its name may contain slashes.",
                    "schema": {"type": "string", "maxLength": 200},
                }
            ],
        )
    }
}


_READ = Policy(allow="read:hub", rate="read")


def _chat(house: "House") -> ChatCompletions:
    settings = house.config[HubSettings]
    return ChatCompletions(house.port(Chats), settings, public_url=house.config.main.public_url)


def _models(house: "House") -> Models:
    catalogue = house.port(Chats).seating.catalogue
    return Models(catalogue, MODEL_PROVIDERS, public_url=house.config.main.public_url)


MOUNTS = (
    Mount(
        path="/v1/chat/completions",
        build=_chat,
        # The hub's own setting may narrow the size; the edge reads no more than this.
        policy=Policy(allow="call:hub.chat", rate="chat", effects=False, max_body_bytes=50 * 1024 * 1024),
        methods=("POST",),
        openapi=_CHAT_PATHS,
        refuse=refuse,
    ),
    Mount(path="/v1/models", build=_models, policy=_READ, openapi=_MODEL_LIST_PATHS, refuse=refuse),
    Mount(path="/v1/models/", build=_models, policy=_READ, openapi=_MODEL_PATHS, refuse=refuse),
)
