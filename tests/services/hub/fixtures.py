"""Fixtures of providers: a question, the call that it becomes, a reply from the documents, and what is made of it.

`python -m tests.services.hub.fixtures` runs them all and writes down which operations passed: the hub shows these as
`contract-tested`, and a test keeps that list true.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from ossature.kernel.outbound.provider import Account, Call, Codec, Provider, Reply
from ossature.services.hub.domain.chat import Chat, read
from ossature.services.hub.ports import CHAT, OPERATIONS
from ossature.services.hub.providers import PROVIDERS

FOLDER = Path(__file__).parent / "replies"
CONTRACTS = Path(__file__).parents[3] / "src/ossature/services/hub/data/contract_tested.json"
ACCOUNT = Account(has_key=True, contact="tests@example.org")
_BY_ID = {operation.id: operation for operation in OPERATIONS}


@dataclass(frozen=True, slots=True)
class Fixture:
    """One fixture file."""

    provider: Provider
    operation: str
    document: Mapping[str, Any]

    @property
    def codec(self) -> Codec[Any, Any]:
        """The codec that it is about."""
        return self.provider.codecs[self.operation]

    @property
    def query(self) -> Any:
        """The question in the domain's words."""
        if self.operation == CHAT.id:
            return chat_of(self.document["request"], self.document["model"])
        adapter = TypeAdapter(_BY_ID[self.operation].query)
        return adapter.validate_python(self.document["query"])

    @property
    def reply(self) -> Reply:
        """The reply from the documents."""
        said = self.document["reply"]
        return Reply(said["status"], said["headers"], said["body"].encode())


def chat_of(request: Mapping[str, Any], model: str, **changes: Any) -> Chat:
    """A chat request for one model."""
    asked = read(json.dumps({**request, **changes}).encode())
    return Chat(
        model=model,
        fields=asked.fields,
        stream=asked.stream,
        wants_usage=asked.wants_usage,
        tokens_in=20,
        tokens_out=50,
    )


def fixtures() -> Iterator[Fixture]:
    """Every fixture that there is."""
    for provider in PROVIDERS:
        for operation in provider.operations:
            path = FOLDER / provider.id / f"{operation}.json"
            if path.is_file():
                yield Fixture(provider, operation, orjson.loads(path.read_bytes()))


def check(fixture: Fixture) -> None:
    """Encode and decode give what the fixture says. Raises: AssertionError."""
    if fixture.operation == CHAT.id:
        _check_chat(fixture)
        return
    codec, document = fixture.codec, fixture.document
    assert codec.encode is not None
    assert codec.decode is not None
    call = codec.encode(fixture.query, ACCOUNT)
    assert isinstance(call, Call)
    assert (call.method, call.path) == (document["call"]["method"], document["call"]["path"])
    assert {k: v for k, v in call.query.items() if v is not None} == document["call"]["query"]
    result = codec.decode(fixture.query, fixture.reply)
    shown = TypeAdapter(_BY_ID[fixture.operation].result).dump_python(result, mode="json")
    assert shown == document["result"]


def _check_chat(fixture: Fixture) -> None:
    codec, document = fixture.codec, fixture.document
    assert codec.encode is not None
    assert codec.decode is not None
    call = codec.encode(fixture.query, ACCOUNT)
    assert isinstance(call, Call)
    assert (call.method, call.path) == (document["call"]["method"], document["call"]["path"])
    assert json.loads(call.body) == document["call"]["body"]
    completion = codec.decode(fixture.query, fixture.reply)
    assert json.loads(completion.body) == json.loads(document["result"]["body"])
    usage = completion.usage
    assert {"tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out, "cached": usage.cached} == document["result"][
        "usage"
    ]
    for wants_usage, expected in ((False, "told"), (True, "told_with_usage")):
        options = {"stream_options": {"include_usage": True}} if wants_usage else {}
        chat = chat_of(document["request"], document["model"], stream=True, **options)
        sent = codec.encode(chat, ACCOUNT)
        assert isinstance(sent, Call)
        assert json.loads(sent.body) == {**document["call"]["body"], **document["stream_call_adds"]}
        assert codec.stream is not None
        reader = codec.stream(chat)
        told = b"".join((*reader.feed(document["stream"]["reply"].encode()), *reader.end()))
        assert _events(told.decode()) == _events(document["stream"][expected])
        assert reader.units["tokens_out"] == usage.tokens_out


def _events(stream: str) -> list[Any]:
    events = [event.removeprefix("data: ") for event in stream.split("\n\n") if event]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


def passed() -> dict[str, dict[str, str]]:
    """Operations by provider that pass, with the day that their fixture is of. What is computed here needs no fixture."""
    found: dict[str, dict[str, str]] = {}
    for fixture in fixtures():
        check(fixture)
        found.setdefault(fixture.provider.id, {})[fixture.operation] = fixture.document["provenance"]["on"]
    for provider in PROVIDERS:
        for operation, codec in provider.codecs.items():
            if codec.compute is not None and provider.manifest.evidence is not None:
                found.setdefault(provider.id, {})[operation] = provider.manifest.evidence.on.isoformat()
    return found


def main() -> None:
    """Write down what passes."""
    text = json.dumps(passed(), indent=2, sort_keys=True)
    CONTRACTS.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
