"""`ossature hub ...` as a person types it."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from ossature.kernel.cli.main import run
from ossature.services.hub.service import service
from tests.services.hub.conftest import Sim
from tests.services.hub.serving import SIM_KEYS

Said = tuple[int, str, str]


@pytest.fixture
def hub(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str, sim: Sim
) -> Iterator[Callable[..., Said]]:
    """The command, on the simulator."""
    monkeypatch.chdir(tmp_path)
    settings = {
        "OSSATURE_DATABASE_URL": sqlite_url,
        "OSSATURE_HUB_SIM_URL": sim.url,
        "OSSATURE_HUB_CONTACT": "a@example.org",
    }
    for name, value in {**settings, **SIM_KEYS}.items():
        monkeypatch.setenv(name, value)
    before, hook, handlers = structlog.get_config(), sys.excepthook, logging.getLogger().handlers[:]

    def call(*arguments: str) -> Said:
        capfd.readouterr()
        code = run(lambda: (service,), ["--json", "hub", *arguments])
        return code, *capfd.readouterr()

    yield call
    structlog.configure(**before)
    sys.excepthook = hook
    logging.getLogger().handlers[:] = handlers


def _json(said: Said) -> Any:
    code, out, err = said
    assert code == 0, err
    return json.loads(out)


def test_one_question_is_asked(hub: Callable[..., Said]) -> None:
    found = _json(hub("call", "finance.fx_convert", "amount=10", "from=CHF", "to=EUR"))

    assert found["data"]["from_"] == "CHF"
    assert found["meta"]["attempts"][0]["kind"] == "ok"


def test_an_explanation_asks_nobody(hub: Callable[..., Said], sim: Sim) -> None:
    found = _json(hub("call", "weather.current", "latitude=46.2", "longitude=6.1", "--explain"))

    assert found["candidates"]
    assert sim.reached("open_meteo") == 0


@pytest.mark.parametrize("fields", [("latitude=91", "longitude=0"), ("colour=red",), ("latitude",)])
def test_a_bad_question_is_refused(hub: Callable[..., Said], fields: tuple[str, ...]) -> None:
    code, _, err = hub("call", "weather.current", *fields)

    assert code != 0
    assert err


def test_words_come_as_they_are_said(hub: Callable[..., Said]) -> None:
    code, out, err = hub("chat", "-m", "groq/llama-3.1-8b-instant", "Good", "morning")

    assert code == 0
    assert "Good morning" in out
    assert "groq/llama-3.1-8b-instant" in err


def test_providers_and_operations_are_listed(hub: Callable[..., Said]) -> None:
    keyless = {row["id"] for row in _json(hub("providers", "--keyless"))}
    operations = {row["id"] for row in _json(hub("operations", "--category", "weather"))}

    assert {"open_meteo", "local_ai"} <= keyless
    assert "openai" not in keyless
    assert operations == {"weather.current", "weather.forecast"}


def test_missing_keys_are_named(hub: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSSATURE_HUB_KEY_GROQ")

    assert _json(hub("missing-keys")) == [{"provider": "groq", "setting": "OSSATURE_HUB_KEY_GROQ"}]


def test_the_ledger_verifies_after_use(hub: Callable[..., Said]) -> None:
    _json(hub("call", "weather.current", "latitude=46.2", "longitude=6.1"))

    assert _json(hub("ledger", "verify")) == []
