"""The first owner of a tenant: invited by mail with a link that is good once, or given a key that is shown once."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from ossature.kernel import clock
from ossature.kernel.testing.houses import Home, open_house

PASSWORD = "seven green bottles on a wall"


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    async with open_house(var_dir=tmp_path, database_url=database_url) as opened:
        yield opened


async def mails(home: Home) -> list[str]:
    """Every mail that was sent, as text."""
    worker = home.house.worker()
    while await worker.run_due():
        pass
    sink = sorted(home.house.config.main.var_dir.glob("**/*.eml"))
    return [path.read_text().replace("=\n", "").replace("=3D", "=") for path in sink]


def link_in(mail: str) -> str:
    found = re.search(r"http://house\.test(/v1/auth/invitations/osl_[A-Za-z0-9_-]+)", mail)
    assert found, mail
    return found[1]


async def invited(admin: httpx.AsyncClient) -> httpx.Response:
    return await admin.post(
        "/v1/tenants", json={"slug": "acme", "name": "Acme", "owner": {"email": "ada@example.org", "name": "Ada"}}
    )


async def test_a_key_that_is_shown_once_opens_a_new_tenant(home: Home) -> None:
    async with home.client() as admin:
        made = (await admin.post("/v1/tenants", json={"slug": "acme", "name": "Acme"})).json()
        again = (await admin.get(f"/v1/tenants/{made['id']}")).text
    async with home.client(secret=made["owner"]["key"]) as owner:
        me = (await owner.get("/v1/auth/me")).json()

    assert (me["tenant"]["slug"], me["roles"]) == ("acme", ["owner"])
    assert made["owner"]["key"] not in again


async def test_an_invited_owner_opens_the_link_chooses_a_password_and_signs_in(home: Home) -> None:
    async with home.client() as admin:
        made = await invited(admin)
    (mail,) = await mails(home)
    async with home.client(secret=None) as anybody:
        page = await anybody.get(link_in(mail))
        weak = await anybody.post(link_in(mail), data={"password": "short"})
        done = await anybody.post(link_in(mail), data={"password": PASSWORD})
        login = await anybody.post("/v1/auth/login", json={"email": "ada@example.org", "password": PASSWORD})

    assert made.json()["owner"] == {"email": "ada@example.org", "key": None}
    assert "ada@example.org" in mail
    assert (page.status_code, weak.status_code, done.status_code) == (200, 422, 200)
    assert 'type="password"' in page.text
    assert login.json()["tenant"]["slug"] == "acme"
    async with home.client(secret=login.json()["access_token"]) as owner:
        assert (await owner.get("/v1/auth/me")).json()["roles"] == ["owner"]


async def test_the_page_of_a_link_speaks_the_language_of_the_browser(home: Home) -> None:
    async with home.client() as admin:
        await invited(admin)
    (mail,) = await mails(home)
    async with home.client(secret=None) as anybody:
        german = await anybody.get(link_in(mail), headers={"accept-language": "de-CH,de;q=0.9,en;q=0.1"})
        hebrew = await anybody.get(link_in(mail), headers={"accept-language": "he"})
        reads = {"accept-language": "fr"}
        done = await anybody.post(link_in(mail), data={"password": PASSWORD}, headers=reads)
        again = await anybody.post(link_in(mail), data={"password": PASSWORD}, headers=reads)

    assert "Wählen Sie ein Passwort" in german.text
    assert german.headers["content-language"] == "de"
    assert '<html lang="he" dir="rtl">' in hebrew.text
    assert "Votre mot de passe est enregistré." in done.text
    assert "Ce lien est trop ancien ou a déjà servi." in again.text


async def test_a_link_is_good_once_for_a_while_and_only_as_it_was_made(home: Home) -> None:
    async with home.client() as admin:
        tenant = (await invited(admin)).json()
        (mail,) = await mails(home)
        token = link_in(mail).rpartition("/")[2]

        async def accept(given: str) -> int:
            async with home.client(secret=None) as anybody:
                body = {"token": given, "password": PASSWORD}
                return (await anybody.post("/v1/auth/invitations", json=body)).status_code

        assert await accept(f"{token[:-1]}{'A' if token[-1] != 'A' else 'Q'}") == 422
        with clock.using(Later()):
            assert await accept(token) == 422
        assert await accept(token) == 204
        assert await accept(token) == 422
        again = await admin.post(f"/v1/tenants/{tenant['id']}/owners", json={"email": "ada@example.org"})
    assert again.status_code == 201
    assert "sign-in" in (await mails(home))[-1]


class Later:
    """A clock that is a month ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=30)

    async def sleep(self, seconds: float) -> None:
        del seconds
