"""What holds for every provider, each of its operations, and every way an upstream misbehaves."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ossature.kernel.errors import NotFound
from ossature.kernel.outbound.judging import UNREADABLE
from ossature.kernel.outbound.manifest import Manifest
from ossature.kernel.outbound.provider import Codec, ErrorKind, Provider, Refusal, Reply
from ossature.services.hub import providers as tuple_of_providers
from ossature.services.hub.domain.chat import read
from ossature.services.hub.ports import CHAT, OPERATIONS, ModelProvider
from ossature.services.hub.providers import MODEL_PROVIDERS, PROVIDERS
from ossature.services.hub.usecases.providers import contract_tested
from tests.services.hub.conftest import Hub, Sim
from tests.services.hub.fixtures import Fixture, chat_of, check, fixtures, passed

FIXTURES = list(fixtures())
DATA_FIXTURES = [fixture for fixture in FIXTURES if fixture.operation != CHAT.id]
BY_ID = {operation.id: operation for operation in (*OPERATIONS, CHAT)}
PAIRS = [(provider, operation) for provider in PROVIDERS for operation in provider.operations]


def _name(fixture: Fixture) -> str:
    return f"{fixture.provider.id}-{fixture.operation}"


def _files() -> Iterator[str]:
    for module in pkgutil.walk_packages(tuple_of_providers.__path__, f"{tuple_of_providers.__name__}."):
        found = importlib.import_module(module.name)
        for attribute in ("provider", "models"):
            value = getattr(found, attribute, None)
            if isinstance(value, Provider | ModelProvider):
                yield module.name


def test_every_file_is_in_the_tuple() -> None:
    listed = {
        *(type(each).__name__ + each.id for each in PROVIDERS),
        *(type(each).__name__ + each.name for each in MODEL_PROVIDERS),
    }
    found = {importlib.import_module(name) for name in _files()}
    for module in found:
        value = getattr(module, "provider", None) or module.models
        name = value.id if isinstance(value, Provider) else value.name
        assert type(value).__name__ + name in listed, f"{module.__name__} is not in providers/__init__.py"
    assert len(found) == len(PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_a_manifest_says_what_it_is_and_how_that_is_known(provider: Provider) -> None:
    manifest = provider.manifest
    assert manifest.title
    assert manifest.evidence is not None
    assert manifest.docs.startswith("https://") or manifest.transport == "local"
    assert manifest.base_url.startswith("https://") or manifest.private or manifest.transport == "local"
    assert set(provider.operations) <= set(BY_ID)
    assert manifest.licence or manifest.terms or manifest.attribution
    TypeAdapter(Manifest).dump_json(manifest)


@pytest.mark.parametrize("fixture", FIXTURES, ids=_name)
def test_a_question_becomes_the_documented_call_and_its_reply_our_model(fixture: Fixture) -> None:
    check(fixture)


def test_every_operation_of_every_provider_has_a_fixture_or_needs_none() -> None:
    tested = passed()

    assert {(p.id, operation) for p, operation in PAIRS} == {(p, o) for p, found in tested.items() for o in found}


def test_the_list_of_contract_tested_operations_is_true() -> None:
    assert contract_tested() == passed(), "run: python -m tests.services.hub.fixtures"


def test_every_operation_has_two_sources_or_says_that_it_has_one() -> None:
    sources = {operation.id: [p.id for p in PROVIDERS if operation.id in p.codecs] for operation in OPERATIONS}

    assert all(len(found) >= 2 for found in sources.values()), sources


@pytest.mark.parametrize("fixture", DATA_FIXTURES, ids=_name)
async def test_the_simulator_answers_in_the_same_form(hub: Hub, fixture: Fixture) -> None:
    answer = await hub.engine.ask(
        hub.ctx(), fixture.operation, fixture.query, policy="pinned", order=(fixture.provider.id,), cache="off"
    )

    shown = TypeAdapter(BY_ID[fixture.operation].result).dump_python(answer.data, mode="json")
    assert shown.keys() == fixture.document["result"].keys()
    assert answer.meta.provider == fixture.provider.id
    for moment in ("observed_at", "as_of"):
        assert moment not in shown or shown[moment].endswith("Z")


KINDS = {
    "429_bare": {ErrorKind.RATE, ErrorKind.QUOTA},
    "500": {ErrorKind.UPSTREAM_5XX},
    "503": {ErrorKind.UPSTREAM_5XX},
    "529": {ErrorKind.UPSTREAM_5XX},
    "reset": {ErrorKind.UPSTREAM_5XX, ErrorKind.CONNECT},
    "half_body": {ErrorKind.TRUNCATED},
    "bad_json": {ErrorKind.DECODE},
    "wrong_type": {ErrorKind.DECODE},
    "missing_field": {ErrorKind.DECODE},
    "empty": {ErrorKind.DECODE},
    "gzip_bomb": {ErrorKind.DECODE},
    "redirect_private": {ErrorKind.POLICY, ErrorKind.UPSTREAM_5XX},
}
# What is vital to an operation where the path of the upstream serves several.
FIELDS = {
    ("open_meteo", "weather.forecast"): "daily.time",
    ("met_norway", "weather.forecast"): "properties.timeseries.*.time",
}


@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize("fixture", DATA_FIXTURES, ids=_name)
async def test_a_fault_of_an_upstream_is_called_by_its_name(hub: Hub, sim: Sim, fixture: Fixture, fault: str) -> None:
    field = FIELDS.get((fixture.provider.id, fixture.operation)) if fault in {"wrong_type", "missing_field"} else None
    sim.fault(fixture.provider.id, fault, **({"field": field} if field else {}))
    paced = any(limit.kind == "pace" for limit in fixture.provider.manifest.limits)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - every problem of the engine has its own class
        await hub.engine.ask(
            hub.ctx(), fixture.operation, fixture.query, policy="pinned", order=(fixture.provider.id,), cache="off"
        )

    attempts = raised.value.facts["attempts"]
    kinds = {ErrorKind(attempt["kind"]) for attempt in attempts} - ({ErrorKind.RATE} if paced else set())
    assert kinds <= KINDS[fault], attempts
    assert not any(f"sim-{fixture.provider.id}" in str(attempt) for attempt in attempts)


@pytest.mark.parametrize("fixture", DATA_FIXTURES, ids=_name)
async def test_an_error_under_a_good_status_is_no_answer(hub: Hub, sim: Sim, fixture: Fixture) -> None:
    sim.fault(fixture.provider.id, "200_error")

    with pytest.raises(Exception) as raised:  # noqa: PT011 - as above
        await hub.engine.ask(
            hub.ctx(), fixture.operation, fixture.query, policy="pinned", order=(fixture.provider.id,), cache="off"
        )

    assert raised.value.facts["attempts"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*at, key))


def _replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = _replaced(document[path[0]], path[1:], value)
    return copy


def _decoded(codec: Codec[Any, Any], query: Any, reply: Reply) -> Any:
    """What a decoder makes of a reply; None where it refuses in a way that it may."""
    try:
        if codec.refusal is not None and codec.refusal(reply) is not None:
            return None
        assert codec.decode is not None
        return codec.decode(query, reply)
    except (Refusal, NotFound, *UNREADABLE):
        return None


@pytest.mark.parametrize(
    "fixture", [f for f in FIXTURES if f.document["reply"]["body"].startswith(("{", "["))], ids=_name
)
@hypothesis.given(data=st.data())
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_a_decoder_raises_only_what_is_allowed_and_makes_nothing_up(fixture: Fixture, data: st.DataObject) -> None:
    document = json.loads(fixture.document["reply"]["body"])
    path = data.draw(st.sampled_from(list(_paths(document))))
    spoiled = _replaced(document, path, data.draw(JSON))
    body = json.dumps(spoiled).encode()

    result = _decoded(fixture.codec, fixture.query, Reply(200, fixture.document["reply"]["headers"], body))

    if result is not None and fixture.operation != CHAT.id:
        TypeAdapter(BY_ID[fixture.operation].result).dump_json(result)


@pytest.mark.parametrize("fixture", FIXTURES, ids=_name)
@hypothesis.given(body=st.binary(max_size=200))
def test_a_decoder_survives_any_bytes(fixture: Fixture, body: bytes) -> None:
    _decoded(fixture.codec, fixture.query, Reply(200, {}, body))


@pytest.mark.parametrize("fixture", [f for f in FIXTURES if f.operation == CHAT.id], ids=_name)
@hypothesis.given(data=st.data())
def test_a_stream_says_the_same_however_it_is_cut(fixture: Fixture, data: st.DataObject) -> None:
    document = fixture.document
    whole = document["stream"]["reply"].encode()
    chat = chat_of(document["request"], document["model"], stream=True)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    stream = fixture.codec.stream
    assert stream is not None
    one, other = stream(chat), stream(chat)
    expected = b"".join((*one.feed(whole), *one.end()))

    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    told = b"".join(event for piece in pieces for event in other.feed(piece)) + b"".join(other.end())

    assert told == expected
    assert other.units == one.units


CHAT_KINDS = {**KINDS, "200_error": {ErrorKind.UPSTREAM_5XX}}
CLOUD = {
    "openai": "openai/gpt-4o-mini",
    "groq": "groq/llama-3.1-8b-instant",
    "mistral": "mistral/mistral-small-latest",
    "openrouter": "openrouter/openai/gpt-4o-mini",
    "ollama": "ollama/llama3.2",
}


# What breaks a stream after its head is said in the tests of streams.
BEFORE_A_STREAM = ("429_bare", "500", "503", "529", "reset", "redirect_private", "200_error")
CHAT_CASES = [(fault, False) for fault in CHAT_KINDS] + [(fault, True) for fault in BEFORE_A_STREAM]


@pytest.mark.parametrize(("fault", "streamed"), CHAT_CASES)
@pytest.mark.parametrize("name", CLOUD)
async def test_a_fault_of_a_model_provider_is_called_by_its_name(
    hub: Hub, sim: Sim, *, name: str, fault: str, streamed: bool
) -> None:
    sim.fault(name, fault)
    body = {"model": CLOUD[name], "messages": [{"role": "user", "content": "Hi"}], "stream": streamed}
    request = read(json.dumps(body).encode())

    async def ask() -> None:
        if streamed:
            async with hub.chats.tell(hub.ctx(), request):
                return
        await hub.chats.complete(hub.ctx(), request)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - as above
        await ask()

    attempts = raised.value.facts["attempts"]
    assert {ErrorKind(attempt["kind"]) for attempt in attempts} <= CHAT_KINDS[fault], attempts
    assert f"sim-{name}" not in str(raised.value.to_dict())
