"""Decoders against real replies of public APIs, where a folder of them is at hand (`OSSATURE_SHARED`)."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from ossature.kernel.outbound.judging import judged
from ossature.kernel.outbound.provider import Provider, Refusal, Reply
from ossature.services.hub.ports import OPERATIONS
from ossature.services.hub.providers import PROVIDERS
from tests.services.hub.fixtures import fixtures

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("OSSATURE_SHARED", ROOT.parent / "shared")) / "data" / "replies"
BY_ID = {operation.id: operation for operation in OPERATIONS}
BY_NAME: dict[str, Provider] = {provider.id: provider for provider in PROVIDERS}
QUERIES = {(fixture.provider.id, fixture.operation): fixture.document for fixture in fixtures()}


def _rows() -> list[dict[str, Any]]:
    index = FOLDER / "replies.toml"
    if not index.is_file():
        return []
    rows: list[dict[str, Any]] = tomllib.loads(index.read_text())["reply"]
    return [row for row in rows if row["operation"] in getattr(BY_NAME.get(row["provider"]), "codecs", {})]


ROWS = _rows()


def _query(row: dict[str, Any]) -> Any:
    kind = BY_ID[row["operation"]].query
    if row["operation"] == "finance.fx_rates":
        return kind(base=row["expect"].get("base", "EUR"))
    said = {**QUERIES[row["provider"], row["operation"]]["query"], **row.get("query", {})}
    return TypeAdapter(kind).validate_python(said)


def _at(value: Any, path: str) -> Any:
    parts = path.split(".")
    if parts[0].isdigit() or parts[0] == "#":
        value = value["results"]
    for part in parts:
        if part == "#":
            return len(value)
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def test_recorded_replies_are_at_hand() -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"no folder {FOLDER}: set OSSATURE_SHARED to one with data/replies in it")
    assert ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_a_real_reply_says_what_was_read_in_it(row: dict[str, Any]) -> None:
    codec = BY_NAME[row["provider"]].codecs[row["operation"]]
    reply = Reply(row["status"], {"content-type": "application/json"}, (FOLDER / row["file"]).read_bytes())
    expected = row["expect"]
    if "error" in expected:
        with pytest.raises(Refusal) as raised:
            judged(codec, reply)
        assert raised.value.kind == expected["error"]
        return

    judged(codec, reply)
    assert codec.decode is not None
    result = codec.decode(_query(row), reply)

    shown = TypeAdapter(BY_ID[row["operation"]].result).dump_python(result, mode="json")
    for path, value in expected.items():
        found = _at(shown, path)
        if isinstance(value, float):
            assert found == pytest.approx(value, abs=1e-4), path
        elif path == "as_of" and len(str(value)) == 10:
            assert str(found).startswith(str(value))
        else:
            assert found == value, path
    for path in row.get("expect_null", ()):
        assert _at(shown, path) is None
