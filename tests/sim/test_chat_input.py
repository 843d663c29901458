"""Nothing that a caller sends breaks a simulated model."""

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from ossature.sim.ai.schema import Instances
from ossature.sim.app import create
from ossature.sim.wire import Request

MODELS = {
    "openai": "gpt-4o-mini",
    "groq": "llama-3.1-8b-instant",
    "mistral": "mistral-small-latest",
    "openrouter": "openrouter/auto",
    "ollama": "llama3.2",
}
WORDS = ("role", "content", "type", "text", "function", "name", "parameters", "properties", "required", "enum", "id",
    "items", "minItems", "minimum", "maximum", "anyOf", "allOf", "$ref", "json_schema", "schema", "tool_calls")  # fmt: skip
SIMULATOR = create(limits={provider: [] for provider in MODELS})
SCALARS = (
    strategies.none() | strategies.booleans() | strategies.integers(-(1 << 60), 1 << 60) | strategies.text(max_size=8)
)
JSON = strategies.recursive(
    SCALARS | strategies.floats(allow_nan=False),
    lambda inner: (
        strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "messages",
    "tools",
    "tool_choice",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "input",
]


@hypothesis.given(fields=strategies.dictionaries(strategies.sampled_from(FIELDS), JSON), stream=strategies.booleans())
@pytest.mark.parametrize("provider", MODELS)
def test_no_body_whatever_breaks_an_upstream(provider: str, fields: dict[str, Any], stream: bool) -> None:
    message = {"role": "user", "content": "Hello"}
    body = json.dumps({"model": MODELS[provider], "messages": [message], "stream": stream, **fields}).encode()
    request = Request(
        method="POST",
        path="/chat/completions",
        query_string=b"",
        headers=[(b"authorization", f"Bearer sim-{provider}".encode())],
        body=body,
        client="test",
        now=SIMULATOR.lab.clock.now(),
        serial=1,
        world=SIMULATOR.lab.world,
    )
    assert SIMULATOR.lab.sites[provider].answer(request).reply.status in {200, 400, 422}


@hypothesis.given(schema=JSON)
def test_an_instance_can_be_made_of_any_schema(schema: object) -> None:
    if isinstance(schema, dict):
        json.dumps(Instances(schema, "In Paris").make())
