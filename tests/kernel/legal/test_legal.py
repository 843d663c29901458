"""Terms hold from a day on, are accepted by people as they stand, and what is promised can be read by everybody."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from ossature.kernel.legal.domain import Document, editions, parse_name
from ossature.kernel.legal.settings import LegalSettings
from ossature.kernel.testing.houses import Home, open_house

ADDRESS, PASSWORD = "ada@example.com", "seven green bottles"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "terms.2025-01-01.en.md").write_text("# Terms of old\n")
    (folder / "terms.2026-01-01.en.md").write_text("# Terms\n\nBe kind.\n")
    (folder / "terms.2026-01-01.fr.md").write_text("# Conditions\n")
    (folder / "terms.2999-01-01.en.md").write_text("# Terms of the future\n")
    (folder / "privacy.2026-01-01.en.md").write_text("No heading.\n")
    return folder


@pytest.fixture
async def home(texts: Path, tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    async with open_house(
        var_dir=tmp_path, database_url=database_url, settings=[LegalSettings(dir=str(texts))]
    ) as opened:
        yield opened


@pytest.fixture
async def ada(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has signed in."""
    async with home.client() as admin:
        user = {"email": ADDRESS, "name": "Ada", "roles": ["user"], "password": PASSWORD}
        assert (await admin.post("/v1/auth/users", json=user)).is_success
        sign_in = {"email": ADDRESS, "password": PASSWORD, "tenant": home.tenant.slug}
        token = (await admin.post("/v1/auth/login", json=sign_in)).json()["access_token"]
    async with home.client(secret=token) as client:
        yield client


@pytest.fixture
async def anybody(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    async with home.client(secret=None) as client:
        yield client


def test_the_latest_version_whose_day_has_come_is_in_force() -> None:
    days = [date(2025, 1, 1), date(2026, 1, 1), date(2027, 1, 1)]
    documents = [Document("terms", day, "en", str(day)) for day in days]

    assert [(one.version, one.in_force) for one in editions(documents, date(2026, 6, 1))] == [
        (days[2], False),
        (days[1], True),
        (days[0], False),
    ]
    assert not any(one.in_force for one in editions(documents, date(2024, 1, 1)))


@pytest.mark.parametrize(
    "name", ["terms.md", "terms.2026-13-01.en.md", "../terms.2026-01-01.en.md", "Terms.2026-01-01.en.md"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"terms|month"):
        parse_name(name)


async def test_everybody_reads_the_texts_in_their_language(anybody: httpx.AsyncClient) -> None:
    french = (await anybody.get("/v1/legal/documents/terms", headers={"accept-language": "fr"})).json()
    german = (await anybody.get("/v1/legal/documents/terms", headers={"accept-language": "de"})).json()
    old = (await anybody.get("/v1/legal/documents/terms", params={"version": "2025-01-01"})).json()

    assert (french["title"], french["language"], french["version"]) == ("Conditions", "fr", "2026-01-01")
    assert (german["title"], german["language"]) == ("Terms", "en")
    assert old["title"] == "Terms of old"
    assert (await anybody.get("/v1/legal/documents/nothing")).status_code == 404
    assert [
        (one["kind"], one["version"], one["languages"], one["in_force"])
        for one in (await anybody.get("/v1/legal/documents")).json()["items"]
    ] == [
        ("privacy", "2026-01-01", ["en"], True),
        ("terms", "2999-01-01", ["en"], False),
        ("terms", "2026-01-01", ["en", "fr"], True),
        ("terms", "2025-01-01", ["en"], False),
    ]


async def test_a_new_version_is_there_without_a_restart(texts: Path, anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/v1/legal/documents/terms")).json()["title"] == "Terms"
    (texts / "terms.2026-02-01.en.md").write_text("# Better terms\n")
    (texts / "not a document.md").write_text("x")

    assert (await anybody.get("/v1/legal/documents/terms")).json()["title"] == "Better terms"


async def test_what_is_promised_can_be_read(anybody: httpx.AsyncClient) -> None:
    levels = (await anybody.get("/v1/legal/levels")).json()
    plans = (await anybody.get("/v1/legal/limits")).json()["items"]

    assert levels["period"] == "P30D"
    assert {"route": "GET /health", "p95_ms": 100, "error_rate": 0.001, "availability": 0.999} in levels["items"][
        "http"
    ]
    assert "free" in {plan["name"] for plan in plans}


async def test_who_accepts_is_recorded_once_with_the_text_that_they_saw(home: Home, ada: httpx.AsyncClient) -> None:
    shown = (await ada.get("/v1/legal/documents/terms")).json()
    assert {one["kind"] for one in (await ada.get("/v1/legal/pending")).json()["items"]} == {"privacy", "terms"}
    accepts = {"kind": "terms", "version": shown["version"], "sha256": shown["sha256"]}

    first = await ada.post("/v1/legal/acceptances", json=accepts)
    again = await ada.post("/v1/legal/acceptances", json=accepts)

    assert (first.status_code, again.json()) == (201, first.json())
    assert {one["kind"] for one in (await ada.get("/v1/legal/pending")).json()["items"]} == {"privacy"}
    async with home.client() as admin:
        listed = (await admin.get("/v1/legal/acceptances", params={"kind": "terms"})).json()["items"]
        trail = (await admin.get("/v1/audit", params={"action": "legal.accepted"})).json()["items"]
    assert [(one["version"], one["language"], one["sha256"]) for one in listed] == [
        ("2026-01-01", "en", shown["sha256"])
    ]
    assert len(trail) == 1


async def test_what_was_not_shown_is_not_accepted_and_keys_accept_nothing(home: Home, ada: httpx.AsyncClient) -> None:
    other = {"kind": "terms", "version": "2026-01-01", "sha256": "0" * 64}
    assert (await ada.post("/v1/legal/acceptances", json=other)).status_code == 409
    assert (await ada.post("/v1/legal/acceptances", json={**other, "version": "2020-01-01"})).status_code == 404
    assert (await ada.get("/v1/legal/acceptances")).status_code == 403
    async with home.client() as key:
        assert (await key.post("/v1/legal/acceptances", json=other)).status_code == 403
        assert (await key.get("/v1/legal/pending")).json() == {"items": []}
