"""Forgotten passwords and confirmed addresses: the mail, its link, and what somebody without an account can learn."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from ossature.kernel import clock
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.testing.houses import Home, open_house

EMAIL, PASSWORD, ANOTHER = "ada@example.org", "seven green bottles on a wall", "eight green bottles on a wall"


class Ahead:
    """A clock that runs ahead of the true one."""

    def __init__(self, **how_far: float) -> None:
        self._ahead = timedelta(**how_far)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    async with open_house(var_dir=tmp_path, database_url=database_url) as opened:
        await a_user(opened)
        yield opened


async def a_user(home: Home, email: str = EMAIL) -> None:
    async with home.client() as admin:
        made = await admin.post("/v1/auth/users", json={"email": email, "name": "Ada", "password": PASSWORD})
        assert made.status_code == 201, made.text


async def mails(home: Home) -> Sequence[str]:
    """What was sent so far, oldest first: its words."""
    worker = home.house.worker()
    while await worker.run_due():
        pass
    found = []
    for path in home.house.config.main.var_dir.glob("**/*.eml"):
        mail = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
        found.append((mail["date"].datetime, path.name, mail.get_body().get_content()))  # type: ignore[union-attr] # it has one
    return [words for _, _, words in sorted(found)]


async def forgotten(home: Home, email: str = EMAIL) -> httpx.Response:
    async with home.client(secret=None) as anybody:
        return await anybody.post("/v1/auth/password/forgot", json={"email": email})


async def link_to(home: Home, what: str) -> str:
    """The path of the newest link in the mail."""
    found = re.findall(rf"http://house\.test(/v1/auth/{what}/osl_\S+)", "\n".join(await mails(home)))
    return str(found[-1])


async def post(home: Home, path: str, **body: object) -> httpx.Response:
    async with home.client(secret=None) as anybody:
        return await anybody.post(path, json=body)


async def login(home: Home, password: str = PASSWORD, email: str = EMAIL) -> httpx.Response:
    return await post(home, "/v1/auth/login", email=email, password=password)


async def test_who_forgot_the_password_chooses_another_by_the_link_in_the_mail(home: Home) -> None:
    before = (await login(home)).json()["access_token"]
    asked = await forgotten(home, " ADA@example.org ")
    link = await link_to(home, "password/reset")
    async with home.client(secret=None) as anybody:
        page = await anybody.get(link, headers={"accept-language": "de"})
        weak = await anybody.post(link, data={"password": "short"})
        done = await anybody.post(link, data={"password": ANOTHER})
        again = await anybody.post(link, data={"password": PASSWORD})

    assert asked.status_code == 204
    assert "Neues Passwort wählen" in page.text
    assert (page.status_code, weak.status_code, done.status_code, again.status_code) == (200, 422, 200, 422)
    assert (await login(home)).status_code == 401
    assert (await login(home, ANOTHER)).status_code == 200
    async with home.client(secret=before) as stale:
        assert (await stale.get("/v1/auth/me")).status_code == 401
    assert "Your password was replaced" in (await mails(home))[-1]


async def test_who_asks_for_an_address_without_an_account_is_told_the_same_and_no_mail_goes_out(home: Home) -> None:
    known, unknown = await forgotten(home), await forgotten(home, "eve@example.org")
    differing = {"date", "x-request-id", "ratelimit", "traceparent"}
    said = [
        (answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in differing})
        for answer in (known, unknown)
    ]
    async with home.house.database.begin() as db:
        jobs = await db.all(text("SELECT name, state FROM jobs_job WHERE name = 'auth.send_link'"))

    assert said[0] == said[1]
    assert len({tuple(row) for row in jobs}) == 1
    assert len(jobs) == 2
    assert len(await mails(home)) == 1


async def test_a_deactivated_user_gets_no_link_and_a_link_they_had_opens_nothing(home: Home) -> None:
    await forgotten(home)
    link = await link_to(home, "password/reset")
    async with home.client() as admin:
        (user,) = (await admin.get("/v1/auth/users")).json()["items"]
        await admin.patch(f"/v1/auth/users/{user['id']}", json={"active": False})
    token = link.rpartition("/")[2]
    with clock.using(Ahead(minutes=5)):
        await forgotten(home)
        assert len(await mails(home)) == 1
    assert (await post(home, "/v1/auth/password/reset", token=token, password=ANOTHER)).status_code == 422


async def test_a_link_is_good_for_a_while_once_and_only_until_the_next(home: Home) -> None:
    await forgotten(home)
    first = (await link_to(home, "password/reset")).rpartition("/")[2]
    await forgotten(home)
    assert len(await mails(home)) == 1, "a second mail within a minute"
    with clock.using(Ahead(minutes=2)):
        await forgotten(home)
        second = (await link_to(home, "password/reset")).rpartition("/")[2]
    assert first != second
    assert (await post(home, "/v1/auth/password/reset", token=first, password=ANOTHER)).status_code == 422
    with clock.using(Ahead(hours=3)):
        assert (await post(home, "/v1/auth/password/reset", token=second, password=ANOTHER)).status_code == 422
    assert (await post(home, "/v1/auth/password/reset", token=second, password=ANOTHER)).status_code == 204


async def test_of_two_who_use_one_link_at_once_one_sets_the_password(home: Home) -> None:
    await forgotten(home)
    token = (await link_to(home, "password/reset")).rpartition("/")[2]
    chosen = [f"{number} green bottles on a wall" for number in range(3)]
    answers = await asyncio.gather(
        *(post(home, "/v1/auth/password/reset", token=token, password=one) for one in chosen)
    )
    won = [password for password, answer in zip(chosen, answers, strict=True) if answer.status_code == 204]
    assert len(won) == 1
    assert (await login(home, won[0])).status_code == 200


async def test_neither_the_links_nor_the_mail_that_was_sent_is_kept(home: Home) -> None:
    await forgotten(home)
    token = (await link_to(home, "password/reset")).rpartition("/")[2]
    async with home.house.database.begin() as db:
        for table in ("links_link", "notify_mail", "jobs_job", "audit_entry"):
            rows = [str(value) for row in await db.all(text(f"SELECT * FROM {table}")) for value in row]
            assert not any(token in value or token[4:36] in value for value in rows), table


async def test_a_reset_lets_somebody_in_whom_wrong_guesses_have_shut_out(home: Home) -> None:
    for _ in range(5):
        assert (await login(home, "wrong")).status_code == 401
    assert (await login(home)).status_code == 429
    await forgotten(home)
    token = (await link_to(home, "password/reset")).rpartition("/")[2]
    await post(home, "/v1/auth/password/reset", token=token, password=ANOTHER)
    async with home.client(secret=None, peer=("192.0.2.99", 50_000)) as elsewhere:
        entered = await elsewhere.post("/v1/auth/login", json={"email": EMAIL, "password": ANOTHER})
    assert entered.status_code == 200


async def test_an_address_is_confirmed_by_the_link_in_a_mail_also_by_who_is_signed_in(home: Home) -> None:
    async with home.client(secret=(await login(home)).json()["access_token"]) as ada:
        assert (await ada.post("/v1/auth/users/me/verification")).status_code == 204
    link = await link_to(home, "email/verify")
    async with home.client(secret=None) as browser:
        await browser.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD, "cookie": True})
        opened = await browser.get(link)
        assert (await confirmed(home)) is None
        sent = await browser.post(link)
        again = await browser.post(link)
    assert (opened.status_code, sent.status_code, again.status_code) == (200, 200, 422)
    assert (await confirmed(home)) is not None


async def confirmed(home: Home) -> str | None:
    async with home.client() as admin:
        (user,) = (await admin.get("/v1/auth/users")).json()["items"]
    return user["email_verified_at"]  # type: ignore[no-any-return] # a text or nothing


async def test_a_link_that_confirms_an_address_sets_no_password(home: Home) -> None:
    async with home.client(secret=(await login(home)).json()["access_token"]) as ada:
        await ada.post("/v1/auth/users/me/verification")
    token = (await link_to(home, "email/verify")).rpartition("/")[2]
    assert (await post(home, "/v1/auth/password/reset", token=token, password=ANOTHER)).status_code == 422
    assert (await post(home, "/v1/auth/email/verify", token=token)).status_code == 204


async def test_a_key_has_no_address_to_confirm(home: Home) -> None:
    async with home.client() as admin:
        assert (await admin.post("/v1/auth/users/me/verification")).status_code == 403


async def test_where_only_confirmed_addresses_enter_the_right_password_brings_the_mail(
    tmp_path: Path, database_url: str
) -> None:
    strict = [AuthSettings(verified_email_only=True)]
    async with open_house(var_dir=tmp_path, database_url=database_url, settings=strict) as home:
        await a_user(home)
        wrong, right = await login(home, "wrong"), await login(home)
        token = (await link_to(home, "email/verify")).rpartition("/")[2]
        assert (await post(home, "/v1/auth/email/verify", token=token)).status_code == 204
        entered = await login(home)
    assert (wrong.status_code, right.status_code, entered.status_code) == (401, 403, 200)
    assert right.json()["type"].endswith("/email-not-verified")
    assert "email-not-verified" not in wrong.text
