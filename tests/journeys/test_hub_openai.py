"""The official OpenAI client, unchanged, speaks to the hub as it speaks to OpenAI."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from ossature.sim.app import create
from ossature.sim.run import started
from tests.services.hub.conftest import Sim
from tests.services.hub.serving import Served, served

pytestmark = pytest.mark.journey

MODELS = {
    "openai": "openai/gpt-4o-mini",
    "groq": "groq/llama-3.1-8b-instant",
    "mistral": "mistral/mistral-small-latest",
    "openrouter": "openrouter/openai/gpt-4o-mini",
    "ollama": "ollama/llama3.2",
    "local": "local/echo",
}
THINKING = {name: model for name, model in MODELS.items() if name != "local"}
HELLO: list[Any] = [{"role": "user", "content": "Hello, who are you?"}]
WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def sim_server() -> Iterator[str]:
    with started(create(seed=1)) as url:
        yield url


@pytest.fixture
def sim(sim_server: str) -> Sim:
    found = Sim(sim_server)
    found.reset()
    return found


@pytest.fixture(scope="module")
def hub(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, sim_server: str) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("house")
    database = folder / "ossature.db"
    database.write_bytes(sqlite_template.read_bytes())
    with served(f"sqlite:///{database}", folder, sim_server) as running:
        yield running


@pytest.fixture
def client(hub: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{hub.url}/v1", api_key=hub.key, max_retries=2)


@pytest.mark.parametrize("name", MODELS)
def test_a_completion_comes_back(client: openai.OpenAI, name: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODELS[name], messages=HELLO)
    answer = raw.parse()

    assert "Hello, who are you?" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert raw.headers["x-ossature-attempts"] == "1"
    assert raw.headers["x-ossature-provider"] == {"local": "local_ai"}.get(name, name)


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_says_the_same_as_the_whole_answer(client: openai.OpenAI, name: str) -> None:
    whole = client.chat.completions.create(model=MODELS[name], messages=HELLO)
    chunks = list(client.chat.completions.create(model=MODELS[name], messages=HELLO, stream=True))

    told = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert told == whole.choices[0].message.content
    assert ends == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_tells_its_usage_to_who_asks(client: openai.OpenAI, name: str) -> None:
    whole = client.chat.completions.create(model=MODELS[name], messages=HELLO)
    chunks = list(
        client.chat.completions.create(
            model=MODELS[name], messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )

    told = [chunk.usage for chunk in chunks if chunk.usage is not None]
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert len(told) == 1
    assert whole.usage is not None
    assert told[0].completion_tokens == whole.usage.completion_tokens
    assert ends == ["stop"]


@pytest.mark.parametrize("name", THINKING)
def test_tools_go_there_and_back(client: openai.OpenAI, name: str) -> None:
    question: list[Any] = [{"role": "user", "content": "Use get_weather for Geneva"}]
    first = client.chat.completions.create(model=MODELS[name], messages=question, tools=[WEATHER_TOOL])

    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    call: Any = message.tool_calls[0]
    assert "city" in json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
    second = client.chat.completions.create(
        model=MODELS[name], messages=[*question, message.model_dump(exclude_none=True), result], tools=[WEATHER_TOOL]
    )
    assert "12 degrees" in (second.choices[0].message.content or "")


@pytest.mark.parametrize("name", THINKING)
def test_tool_calls_are_streamed(client: openai.OpenAI, name: str) -> None:
    stream = client.chat.completions.create(
        model=MODELS[name],
        messages=[{"role": "user", "content": "Use get_weather for Geneva"}],
        tools=[WEATHER_TOOL],
        stream=True,
    )
    pieces = [call for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]

    arguments = "".join(piece.function.arguments or "" for piece in pieces if piece.function)
    assert pieces[0].function
    assert pieces[0].function.name == "get_weather"
    assert "city" in json.loads(arguments)


@pytest.mark.parametrize("name", THINKING)
def test_an_answer_has_the_shape_that_was_asked_for(client: openai.OpenAI, name: str) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODELS[name],
        messages=[{"role": "user", "content": "Give a number"}],
        response_format={"type": "json_schema", "json_schema": {"name": "number", "schema": schema, "strict": True}},
    )

    assert isinstance(json.loads(answer.choices[0].message.content or "")["n"], int)


@pytest.mark.parametrize("name", MODELS)
async def test_the_asynchronous_client_does_as_well(hub: Served, name: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{hub.url}/v1", api_key=hub.key) as client:
        answer = await client.chat.completions.create(model=MODELS[name], messages=HELLO)
        stream = await client.chat.completions.create(model=MODELS[name], messages=HELLO, stream=True)
        told = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]

    assert "".join(told) == answer.choices[0].message.content


def test_a_picture_goes_with_the_question(client: openai.OpenAI) -> None:
    parts: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
    ]
    answer = client.chat.completions.create(model="openai/gpt-4o-mini", messages=[{"role": "user", "content": parts}])

    assert "1 image" in (answer.choices[0].message.content or "")


def test_models_are_listed_and_read(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}

    assert {"auto", "openai/gpt-4o-mini", "local/echo"} <= names
    assert client.models.retrieve("groq/llama-3.1-8b-instant").owned_by == "groq"


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-99", messages=HELLO)

    assert raised.value.code == "model_not_found"


def test_bad_input_is_a_bad_request_that_names_the_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="openai/gpt-4o-mini", messages=HELLO, temperature=9)

    assert raised.value.param == "temperature"


def test_a_wrong_key_is_not_let_in(hub: Served) -> None:
    client = openai.OpenAI(base_url=f"{hub.url}/v1", api_key="oss_wrong")

    with pytest.raises(openai.AuthenticationError) as raised:
        client.chat.completions.create(model="auto", messages=HELLO)

    assert raised.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("fault", "error"), [("429_bare", openai.RateLimitError), ("503", openai.InternalServerError)], ids=["429", "503"]
)
def test_retries_are_not_multiplied(client: openai.OpenAI, sim: Sim, fault: str, error: type[Exception]) -> None:
    sim.fault("mistral", fault)

    with pytest.raises(error):
        client.chat.completions.create(model="mistral/mistral-small-latest", messages=HELLO)

    assert sim.reached("mistral") <= 2


@pytest.mark.parametrize("name", THINKING)
@pytest.mark.parametrize("fault", ["error_mid_stream", "truncated_sse"])
def test_a_stream_that_breaks_says_so_and_does_not_pretend_to_end(
    client: openai.OpenAI, sim: Sim, name: str, fault: str
) -> None:
    sim.fault(name, fault)
    sim.fault(name, "slow", ms=0, gap_ms=5)
    stream = client.chat.completions.create(model=MODELS[name], messages=HELLO, stream=True)
    chunks: list[Any] = []

    with pytest.raises(openai.APIError):
        chunks.extend(stream)

    assert any(choice.delta.content for chunk in chunks for choice in chunk.choices)


async def test_an_upstream_is_left_when_the_client_leaves(hub: Served, sim: Sim) -> None:
    sim.fault("openai", "slow", ms=0, gap_ms=1_000)
    async with openai.AsyncOpenAI(base_url=f"{hub.url}/v1", api_key=hub.key) as client:
        stream = await client.chat.completions.create(model="openai/gpt-4o-mini", messages=HELLO, stream=True)
        async for _ in stream:
            break
        await stream.close()

    for _ in range(600):
        if sim.abandoned("openai"):
            break
        await asyncio.sleep(0.1)
    assert sim.abandoned("openai") == 1
