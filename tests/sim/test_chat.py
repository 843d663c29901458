"""The AI upstreams: one surface, five dialects; the official client understands them."""

import base64
import json
import struct
from math import sqrt
from typing import Any

import openai
import pytest

from tests.sim.caller import Caller

MODELS = {
    "openai": "gpt-4o-mini",
    "groq": "llama-3.1-8b-instant",
    "mistral": "mistral-small-latest",
    "openrouter": "meta-llama/llama-3.3-70b-instruct",
    "ollama": "llama3.2",
}
EVERY = pytest.mark.parametrize(("provider", "model"), MODELS.items())
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather_current",
        "parameters": {
            "type": "object",
            "properties": {
                "latitude": {"type": "number"},
                "longitude": {"type": "number"},
                "days": {"type": "integer"},
            },
            "required": ["latitude", "longitude"],
        },
    },
}
RATES = {"type": "function", "function": {"name": "fx_rates", "parameters": {"type": "object", "properties": {}}}}


def _client(sim: Caller, provider: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{sim.url}/{provider}", api_key=f"sim-{provider}", max_retries=0)


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@EVERY
def test_the_official_client_gets_an_answer_that_repeats_itself(sim: Caller, provider: str, model: str) -> None:
    client = _client(sim, provider)
    first = client.chat.completions.create(model=model, messages=_user("Hello there"))
    again = client.chat.completions.create(model=model, messages=_user("Hello there"))
    assert "Hello there" in first.choices[0].message.content
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens
    assert first.id != again.id


@EVERY
def test_the_stream_says_the_same_as_the_whole_answer(sim: Caller, provider: str, model: str) -> None:
    client = _client(sim, provider)
    whole = client.chat.completions.create(model=model, messages=_user("Hello there")).choices[0].message.content
    chunks = list(client.chat.completions.create(model=model, messages=_user("Hello there"), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    finishes = {chunk.choices[0].finish_reason for chunk in chunks if chunk.choices}
    assert finishes == {None, "stop"}


@EVERY
def test_a_tool_named_by_the_user_is_called_with_the_place_of_the_question(
    sim: Caller, provider: str, model: str
) -> None:
    client = _client(sim, provider)
    asked = _user("What is the weather in Tokyo?")
    message = client.chat.completions.create(model=model, messages=asked, tools=[RATES, WEATHER]).choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather_current",
        {"latitude": 35.6762, "longitude": 139.6503},
    )
    said = {"role": "tool", "tool_call_id": call.id, "content": "17 degrees"}
    turn = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}
    final = client.chat.completions.create(model=model, messages=[*asked, turn, said], tools=[WEATHER])
    assert final.choices[0].message.content == "The tools returned: [1] 17 degrees"


@EVERY
def test_a_streamed_tool_call_adds_up_to_the_whole_one(sim: Caller, provider: str, model: str) -> None:
    events = sim.chat(provider, model, "Weather in Tokyo?", tools=[WEATHER], stream=True).events()
    parts = [
        call
        for event in events
        if event != "[DONE]"
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert parts[0]["function"]["name"] == "weather_current"
    arguments = "".join(part["function"].get("arguments", "") for part in parts)
    assert json.loads(arguments) == {"latitude": 35.6762, "longitude": 139.6503}


@pytest.mark.parametrize(("provider", "model"), [pair for pair in MODELS.items() if pair[0] != "ollama"])
def test_an_unknown_key_is_a_401(sim: Caller, provider: str, model: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer sim-cohere"}):
        assert (
            sim.post(f"/{provider}/chat/completions", {"model": model, "messages": _user("x")}, headers).status == 401
        )


def test_a_key_with_a_label_is_a_second_account(sim: Caller) -> None:
    headers = {"authorization": "Bearer sim-openai-second"}
    assert sim.get("/openai/models", headers).status == 200
    assert sim.get("/openai/models", {"authorization": "Bearer sim-openaisecond"}).status == 401


def test_the_official_client_raises_its_own_errors(sim: Caller) -> None:
    client = _client(sim, "openai")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-none", messages=_user("x"))
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-4o", messages=[])
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model="gpt-3.5-turbo", messages=_user("word " * 20_000))
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{sim.url}/openai", api_key="sk-x", max_retries=0).models.list()


@pytest.mark.parametrize(
    ("provider", "status", "word"),
    [
        ("openai", 404, "model_not_found"),
        ("mistral", 400, "1500"),
        ("openrouter", 400, 400),
        ("ollama", 404, "pulling"),
    ],
)
def test_an_unknown_model_is_refused_in_each_dialect(sim: Caller, provider: str, status: int, word: object) -> None:
    answer = sim.chat(provider, "none")
    assert answer.status == status
    assert str(word) in answer.body.decode()


@pytest.mark.parametrize("value", [{"messages": []}, {"temperature": 3}, {"max_tokens": 0}, {"hub": {}}, {"n": 99}])
def test_openai_refuses_what_it_does_not_understand(sim: Caller, value: Any) -> None:
    assert sim.chat("openai", "gpt-4o", **value).status == 400


def test_a_body_that_is_no_json_object_is_refused(sim: Caller) -> None:
    for value in ([1], "text", None):
        assert sim.post("/openai/chat/completions", value, {"authorization": "Bearer sim-openai"}).status == 400


def test_a_tool_result_without_its_call_is_refused(sim: Caller) -> None:
    messages = [*_user("x"), {"role": "tool", "tool_call_id": "call_1", "content": "y"}]
    assert sim.chat("openai", "gpt-4o", messages=messages).status == 400


def test_tools_are_called_for_as_many_rounds_as_the_user_says(sim: Caller) -> None:
    messages = _user("Use weather_current in 3 rounds for Paris")
    rounds = 0
    while rounds < 10:
        message = sim.chat("openai", "gpt-4o", messages=messages, tools=[WEATHER]).json()["choices"][0]["message"]
        if not message.get("tool_calls"):
            break
        rounds += 1
        call = message["tool_calls"][0]
        messages = [*messages, message, {"role": "tool", "tool_call_id": call["id"], "content": "ok"}]
    assert rounds == 3


def test_tools_named_together_are_called_together_unless_forbidden(sim: Caller) -> None:
    text = "Call weather_current and fx_rates"
    both = sim.chat("openai", "gpt-4o", text, tools=[WEATHER, RATES]).json()["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in both] == ["weather_current", "fx_rates"]
    one = sim.chat("openai", "gpt-4o", text, tools=[WEATHER, RATES], parallel_tool_calls=False).json()
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


def test_tool_choice_decides(sim: Caller) -> None:
    def called(choice: object) -> list[str]:
        answer = sim.chat("openai", "gpt-4o", "Hello", tools=[WEATHER, RATES], tool_choice=choice).json()
        return [call["function"]["name"] for call in answer["choices"][0]["message"].get("tool_calls") or ()]

    assert called("auto") == called("none") == []
    assert called("required") == ["weather_current"]
    assert called({"type": "function", "function": {"name": "fx_rates"}}) == ["fx_rates"]


def test_a_json_schema_is_answered_with_an_instance_of_it(sim: Caller) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "mood": {"enum": ["calm", "wild"]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "score": {"type": "integer", "minimum": 3, "maximum": 9},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["city", "mood", "tags", "score", "note"],
        "additionalProperties": False,
        "$defs": {"tag": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}},
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    content = sim.chat("openai", "gpt-4o", "Tell me of Lisbon.", response_format=form).json()["choices"][0]["message"][
        "content"
    ]
    assert json.loads(content) == {
        "city": "Lisbon",
        "mood": "calm",
        "tags": [{"on": True}, {"on": True}],
        "score": 3,
        "note": None,
    }


def test_pictures_are_seen_and_paid_for(sim: Caller) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]
    answer = sim.chat("openai", "gpt-4o", messages=messages).json()
    assert "I see 1 image(s)." in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] > 85


def test_a_short_limit_and_a_stop_word_end_the_answer(sim: Caller) -> None:
    short = sim.chat("openai", "gpt-4o", max_tokens=5).json()
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 5)
    stopped = sim.chat("openai", "gpt-4o", stop=[", simulated"]).json()
    assert stopped["choices"][0]["message"]["content"] == "This is openai/gpt-4o"


def test_openai_tells_the_usage_of_a_stream_only_when_asked_in_a_chunk_without_choices(sim: Caller) -> None:
    silent = sim.chat("openai", "gpt-4o", stream=True).events()
    assert all("usage" not in event for event in silent[:-1])
    *_, last, done = sim.chat("openai", "gpt-4o", stream=True, stream_options={"include_usage": True}).events()
    assert (last["choices"], last["usage"]["prompt_tokens"] > 0, done) == ([], True, "[DONE]")


def test_groq_tells_the_usage_of_a_stream_in_a_field_of_its_own(sim: Caller) -> None:
    *_, last, done = sim.chat("groq", "llama-3.1-8b-instant", stream=True).events()
    assert last["x_groq"]["usage"]["total_tokens"] > 0
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


def test_groq_tells_the_requests_of_the_day_and_the_tokens_of_the_minute(sim: Caller) -> None:
    headers = sim.chat("groq", "llama-3.1-8b-instant").headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("14400", "14399")
    assert headers["x-ratelimit-reset-requests"] == "720m0.00s"
    assert int(headers["x-ratelimit-remaining-tokens"]) < int(headers["x-ratelimit-limit-tokens"])
    later = sim.chat("groq", "llama-3.1-8b-instant").headers
    assert later["x-ratelimit-remaining-requests"] == "14398"
    assert int(later["x-ratelimit-remaining-tokens"]) < int(headers["x-ratelimit-remaining-tokens"])


def test_mistral_ends_with_text_finish_and_usage_in_one_chunk_and_pads_each(sim: Caller) -> None:
    *chunks, done = sim.chat("mistral", "mistral-small-latest", stream=True).events()
    assert done == "[DONE]"
    assert all(chunk["p"] for chunk in chunks)
    assert chunks[-1]["choices"][0]["delta"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("field", [{"stream_options": {"include_usage": True}}, {"user": "me"}])
def test_mistral_refuses_fields_it_does_not_know(sim: Caller, field: dict[str, Any]) -> None:
    answer = sim.chat("mistral", "mistral-small-latest", stream=True, **field)
    assert (answer.status, answer.json()["detail"][0]["type"]) == (422, "extra_forbidden")


def test_openrouter_begins_with_comments_and_repeats_the_finish_with_the_usage(sim: Caller) -> None:
    answer = sim.chat("openrouter", MODELS["openrouter"], stream=True)
    assert answer.body.startswith(b": OPENROUTER PROCESSING\n\n")
    *_, finish, repeated, _ = answer.events()
    assert "usage" not in finish
    assert finish["choices"][0]["finish_reason"] == repeated["choices"][0]["finish_reason"] == "stop"
    assert repeated["usage"]["cost"] > 0


def test_openrouter_writes_its_codes_as_numbers(sim: Caller) -> None:
    assert sim.post("/openrouter/chat/completions", {}).json()["error"]["code"] == 401


def test_openrouter_limits_only_free_models(sim: Caller) -> None:
    free = [sim.chat("openrouter", "deepseek/deepseek-r1:free").status for _ in range(21)]
    assert free == [200] * 20 + [429]
    assert sim.chat("openrouter", MODELS["openrouter"]).status == 200


def test_ollama_lists_its_models_outside_the_surface_and_thinks_aloud(sim: Caller) -> None:
    names = [model["name"] for model in sim.get("/ollama/api/tags").json()["models"]]
    assert "llama3.2:latest" in names
    assert sim.chat("ollama", "qwen3:8b").json()["choices"][0]["message"]["reasoning"]
    events = sim.chat("ollama", "qwen3:8b", stream=True).events()
    assert any(event["choices"][0]["delta"].get("reasoning") for event in events[:-1])


@pytest.mark.parametrize(
    ("provider", "model", "size"),
    [
        ("openai", "text-embedding-3-small", 1536),
        ("mistral", "mistral-embed", 1024),
        ("ollama", "nomic-embed-text", 768),
    ],
)
def test_embeddings_have_the_size_of_their_model_and_length_one(
    sim: Caller, provider: str, model: str, size: int
) -> None:
    answer = _client(sim, provider).embeddings.create(model=model, input=["one text", "other"], encoding_format="float")
    assert [len(row.embedding) for row in answer.data] == [size, size]
    assert sqrt(sum(value * value for value in answer.data[0].embedding)) == pytest.approx(1.0)


def test_embeddings_as_base64_are_the_same_vectors(sim: Caller) -> None:
    question = {"model": "text-embedding-3-small", "input": "the same text", "dimensions": 256}
    headers = {"authorization": "Bearer sim-openai"}
    floats = sim.post("/openai/embeddings", question, headers).json()["data"][0]["embedding"]
    packed = sim.post("/openai/embeddings", {**question, "encoding_format": "base64"}, headers).json()
    unpacked = struct.unpack("<256f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(unpacked) == pytest.approx(floats, abs=1e-6)


def test_texts_with_common_words_are_nearer_than_others(sim: Caller) -> None:
    texts = ["weather in Paris today", "the weather in Paris", "stock price of a bank"]
    data = (
        _client(sim, "openai")
        .embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
        .data
    )
    one, near, far = (row.embedding for row in data)
    assert sum(a * b for a, b in zip(one, near, strict=True)) > sum(a * b for a, b in zip(one, far, strict=True)) + 0.3


@pytest.mark.parametrize("value", ["", [], [[]], {"a": 1}, None])
def test_embeddings_of_nothing_are_refused(sim: Caller, value: Any) -> None:
    question = {"model": "text-embedding-3-small", "input": value}
    assert sim.post("/openai/embeddings", question, {"authorization": "Bearer sim-openai"}).status == 400


@EVERY
def test_models_are_listed(sim: Caller, provider: str, model: str) -> None:
    listed = [each.id for each in _client(sim, provider).models.list().data]
    assert any(name.startswith(model) for name in listed)
    one = _client(sim, provider).models.retrieve(listed[0])
    assert one.id == listed[0]
