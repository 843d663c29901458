"""Chat completions through the hub to the simulator: whole answers, fallback, accounting."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from ossature.kernel.outbound.answer import Usage
from ossature.kernel.outbound.kinds import (
    ContextLengthExceeded,
    ProviderFailed,
    ProviderUnavailable,
    UpstreamRefusedInput,
)
from ossature.kernel.outbound.ledger.values import LedgerUnavailable
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.quotas.domain import MeterFull
from ossature.services.hub.api.chat import ChatCompletions
from ossature.services.hub.domain.chat import ModelNotFound, read
from ossature.services.hub.ports import ModelProvider
from ossature.services.hub.providers import MODEL_PROVIDERS
from ossature.services.hub.settings import HubSettings
from tests.services.hub.conftest import Hub, OpenHub, Sim

CLOUD = {
    "openai": "openai/gpt-4o-mini",
    "groq": "groq/llama-3.1-8b-instant",
    "mistral": "mistral/mistral-small-latest",
    "openrouter": "openrouter/openai/gpt-4o-mini",
    "ollama": "ollama/llama3.2",
}


def a_request(model: str = "openai/gpt-4o-mini", text: str = "Hello", **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more}).encode()


@pytest.mark.parametrize("provider", CLOUD)
async def test_every_provider_answers(hub: Hub, provider: str) -> None:
    answered = await hub.chats.complete(hub.ctx(), read(a_request(CLOUD[provider], "Hello there")))

    body = json.loads(answered.completion.body)
    assert answered.provider == provider
    assert "Hello there" in body["choices"][0]["message"]["content"]
    assert answered.completion.usage is not None
    assert answered.completion.usage.tokens_out == body["usage"]["completion_tokens"]


async def test_the_upstream_gets_the_clients_fields_and_not_ours(hub: Hub, sim: Sim) -> None:
    await hub.chats.complete(
        hub.ctx(),
        read(a_request(temperature=0.5, seed=7, hub={"metadata": {"a": "b"}}, models=["groq/llama-3.1-8b-instant"])),
    )

    sent = json.loads(sim.last("openai")["body"])
    assert sent["model"] == "gpt-4o-mini"
    assert (sent["temperature"], sent["seed"]) == (0.5, 7)
    assert not {"hub", "models"} & sent.keys()


async def test_what_was_used_is_charged_and_not_what_was_reserved(hub: Hub) -> None:
    answered = await hub.chats.complete(hub.ctx(), read(a_request()))

    usage = answered.completion.usage
    assert usage is not None
    assert hub.used[0].units["tokens_in"] == usage.tokens_in
    assert hub.used[0].units["tokens_out"] == usage.tokens_out
    assert answered.cost_microusd == hub.used[0].cost_microusd > 0


async def test_a_failing_model_is_replaced_by_the_next_of_the_list(hub: Hub, sim: Sim) -> None:
    sim.fault("openai", "500")

    answered = await hub.chats.complete(hub.ctx(), read(a_request(models=["groq/llama-3.1-8b-instant"])))

    assert answered.provider == "groq"
    assert [usage.outcome for usage in hub.used] == ["upstream_5xx", "upstream_5xx", "ok"]
    assert hub.used[0].units["tokens"] == 0


async def test_an_alias_answers_from_the_first_provider_with_a_key(open_hub: OpenHub) -> None:
    async with open_hub(keys=("mistral",)) as hub:
        answered = await hub.chats.complete(hub.ctx(), read(a_request("auto")))

    assert str(answered.seat) == "mistral/mistral-small-latest"


async def test_without_any_model_an_echo_answers_and_says_what_it_is(open_hub: OpenHub) -> None:
    async with open_hub(keys=(), aliases={"auto": ["openai/gpt-4o", "local/echo"]}) as hub:
        answered = await hub.chats.complete(hub.ctx(), read(a_request("auto", "Are you there?")))

    said = json.loads(answered.completion.body)["choices"][0]["message"]["content"]
    assert "not a language model" in said
    assert "Are you there?" in said


async def test_an_echo_never_replaces_a_model_that_failed(hub: Hub, sim: Sim) -> None:
    for provider in ("groq", "mistral", "openrouter", "openai", "ollama"):
        sim.fault(provider, "500")

    with pytest.raises(ProviderFailed):
        await hub.chats.complete(hub.ctx(), read(a_request("auto")))


async def test_a_model_without_a_key_names_the_setting(open_hub: OpenHub) -> None:
    async with open_hub(keys=()) as hub:
        with pytest.raises(ProviderUnavailable) as raised:
            await hub.chats.complete(hub.ctx(), read(a_request("openai/gpt-4o")))

    assert raised.value.facts["missing"] == ["OSSATURE_HUB_KEY_OPENAI"]


async def test_bad_input_is_not_tried_elsewhere(hub: Hub, sim: Sim) -> None:
    with pytest.raises(UpstreamRefusedInput) as raised:
        await hub.chats.complete(hub.ctx(), read(a_request(temperature=9, models=["groq/llama-3.1-8b-instant"])))

    assert raised.value.facts["param"] == "temperature"
    assert (sim.reached("openai"), sim.reached("groq")) == (1, 0)


async def test_a_text_that_is_too_long_goes_to_a_model_that_reads_more(hub: Hub, sim: Sim) -> None:
    text = "word " * 130_000
    answered = await hub.chats.complete(
        hub.ctx(),
        read(a_request("openai/gpt-4o-mini", text, models=["groq/llama-3.1-8b-instant", "openai/gpt-4.1-mini"])),
    )

    assert str(answered.seat) == "openai/gpt-4.1-mini"
    assert sim.reached("groq") == 1


async def test_a_text_that_is_too_long_for_all_is_refused(hub: Hub) -> None:
    with pytest.raises(ContextLengthExceeded):
        await hub.chats.complete(hub.ctx(), read(a_request(text="word " * 130_000)))


async def test_an_unknown_model_names_the_nearest(hub: Hub) -> None:
    with pytest.raises(ModelNotFound) as raised:
        await hub.chats.complete(hub.ctx(), read(a_request("gpt-4o-mimi")))

    assert "gpt-4o-mini" in raised.value.facts["near"]


async def test_a_field_that_a_provider_lacks_is_not_dropped_in_silence(hub: Hub, sim: Sim) -> None:
    answered = await hub.chats.complete(
        hub.ctx(), read(a_request("mistral/mistral-small-latest", logprobs=True, models=["openai/gpt-4o-mini"]))
    )

    assert answered.provider == "openai"
    assert sim.reached("mistral") == 0


async def test_fields_that_change_nothing_are_left_out_for_who_refuses_them(hub: Hub, sim: Sim) -> None:
    await hub.chats.complete(hub.ctx(), read(a_request("mistral/mistral-small-latest", user="me", seed=3)))

    sent = json.loads(sim.last("mistral")["body"])
    assert sent["random_seed"] == 3
    assert "user" not in sent


async def _asked(hub: Hub, body: bytes) -> list[Message]:
    """The messages of the raw application at `/v1/chat/completions`."""
    sent: list[Message] = []
    come: asyncio.Queue[Message] = asyncio.Queue()
    come.put_nowait({"type": "http.request", "body": body, "more_body": False})

    async def send(message: Message) -> None:
        sent.append(message)

    app = ChatCompletions(hub.chats, HubSettings(), public_url="https://hub.test")
    await app({"type": "http", "ossature.ctx": hub.ctx()}, come.get, send)
    return sent


async def test_a_problem_after_the_first_words_is_the_last_event_of_the_stream(hub: Hub) -> None:
    def full(_usage: Usage) -> None:
        raise MeterFull

    hub.engine.exchange._meter = full
    start, *blocks = await _asked(hub, a_request(stream=True))
    refused, _ = await _asked(hub, a_request())

    assert start["status"] == 200
    assert [message["type"] for message in blocks] == ["http.response.body"] * len(blocks)
    error = json.loads(blocks[-1]["body"].removeprefix(b"data: "))["error"]
    assert error["problem_type"] == "https://hub.test/problems/meter-full"
    assert refused["status"] == 503


async def test_the_settings_say_how_long_a_stream_may_be_silent(open_hub: OpenHub, sim: Sim) -> None:
    sim.fault("openai", "slow", ms=0, gap_ms=60_000)
    async with open_hub(stream_idle_limit_s=0.3) as hub:
        *_, last = await _asked(hub, a_request(stream=True))

    assert b"Nothing came for 0.3 s." in last["body"]


@pytest.mark.parametrize("provider", MODEL_PROVIDERS, ids=lambda provider: provider.name)
def test_the_longest_answer_of_each_model_may_be_read(provider: ModelProvider) -> None:
    manifest = provider.provider.manifest
    most = manifest.max_body_bytes or Surroundings().max_body_bytes

    for card in provider.models.values():
        assert (card.max_output_tokens or 0) * 300 <= most, card.id


async def test_what_costs_money_is_not_asked_while_nobody_counts_it(hub: Hub, sim: Sim) -> None:
    await hub.ledger._group.close()

    for name in ("openai", "mistral"):  # of one the prices are known, of the other they are not
        with pytest.raises(LedgerUnavailable):
            await hub.chats.complete(hub.ctx(), read(a_request(CLOUD[name])))
        assert sim.reached(name) == 0
