"""The second factor: taken up with an app, asked for when signing in, each code good once, and lost without being locked out."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pyotp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import text

from ossature.kernel import clock
from ossature.kernel.auth.factors.domain import new_enrolment, new_recovery_code, plain, step_of
from ossature.kernel.auth.factors.store import APP_SECRET
from ossature.kernel.crypto.ring import CannotOpen, FixedKeys, Key, KeyRing
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.testing.houses import Home, open_house

EMAIL, PASSWORD = "ada@example.org", "seven green bottles on a wall"
START = datetime(2031, 3, 3, 8, 0, 5, tzinfo=UTC)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def hand() -> Iterator[Hand]:
    with clock.using(Hand()) as moved:
        yield moved


@pytest.fixture
async def home(hand: Hand, tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    del hand
    settings = [QuotaSettings(enabled=False)]  # rate limits would answer before the pauses that are looked at here
    async with open_house(var_dir=tmp_path, database_url=database_url, settings=settings) as opened:
        async with opened.client() as admin:
            made = await admin.post("/v1/auth/users", json={"email": EMAIL, "name": "Ada", "password": PASSWORD})
            assert made.status_code == 201, made.text
        yield opened


async def login(home: Home, code: str | None = None, password: str = PASSWORD, ip: str = "192.0.2.7") -> httpx.Response:
    body = {"email": EMAIL, "password": password} | ({"code": code} if code is not None else {})
    async with home.client(secret=None, peer=(ip, 50_000)) as anybody:
        return await anybody.post("/v1/auth/login", json=body)


async def as_ada(home: Home, path: str, token: str, **body: object) -> httpx.Response:
    async with home.client(secret=token) as ada:
        return await ada.post(f"/v1/auth/{path}", json=body)


async def taken_up(home: Home, hand: Hand) -> tuple[pyotp.TOTP, Sequence[str]]:
    """Ada's app, confirmed, and her recovery codes. The code that confirmed it is used up, and the clock has moved on."""
    token = (await login(home)).json()["access_token"]
    made = (await as_ada(home, "totp", token, password=PASSWORD)).json()
    app = pyotp.TOTP(made["secret"])
    confirmed = await as_ada(home, "totp/confirm", token, code=app.at(hand.at))
    assert confirmed.status_code == 200, confirmed.text
    hand.forward(60)
    return app, confirmed.json()["recovery_codes"]


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


def test_the_picture_is_a_code_of_the_address_that_apps_understand() -> None:
    made = new_enrolment("ada@example.org", "My house")
    asked = urlsplit(made.uri)
    assert (asked.scheme, asked.netloc) == ("otpauth", "totp")
    assert parse_qs(asked.query) == {"secret": [made.secret], "issuer": ["My house"]}
    assert made.qr_svg.startswith("<svg")
    assert len(made.secret) == 32


def test_a_code_of_a_neighbouring_step_is_taken_and_none_further_away() -> None:
    secret = pyotp.random_base32()
    app = pyotp.TOTP(secret)
    steps = {
        away: step_of(secret, app.at(START + timedelta(seconds=30 * away)), START) is not None for away in range(-3, 4)
    }
    assert steps == {-3: False, -2: False, -1: True, 0: True, 1: True, 2: False, 3: False}
    code = app.at(START)
    assert step_of(secret, f"{code[:3]} {code[3:]}", START) == app.timecode(START)


def test_a_secret_is_opened_by_the_same_house_for_the_same_user_only() -> None:
    ada, bob = uuid4(), uuid4()
    ring = KeyRing(FixedKeys(Key.new()))
    sealed = APP_SECRET.seal(ring, ada, "SECRET")
    assert b"SECRET" not in sealed
    assert APP_SECRET.open(ring, ada, sealed) == "SECRET"
    for other, user in ((ring, bob), (KeyRing(FixedKeys(Key.new())), ada)):
        with pytest.raises(CannotOpen):
            APP_SECRET.open(other, user, sealed)


def test_a_secret_that_was_sealed_before_there_was_a_key_ring_still_opens() -> None:
    ada, bob = uuid4(), uuid4()
    sealed = bytes.fromhex("00" * 12) + sealed_before(b"house", ada, "SECRET")
    ring = KeyRing(FixedKeys(Key.new()))
    assert APP_SECRET.open(ring, ada, sealed, secret=b"house") == "SECRET"
    for house, user in ((b"house", bob), (b"another house", ada)):
        with pytest.raises(CannotOpen):
            APP_SECRET.open(ring, user, sealed, secret=house)


def sealed_before(secret: bytes, user_id: UUID, value: str) -> bytes:
    """As it was done then, with a nonce of zeros."""
    key = HKDF(SHA256(), length=32, salt=None, info=b"ossature.auth.totp").derive(secret)
    return AESGCM(key).encrypt(bytes(12), value.encode(), user_id.bytes)


def test_recovery_codes_are_long_easy_to_write_down_and_never_the_same() -> None:
    codes = {new_recovery_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", code) for code in codes)
    assert plain("ABCD-efgh 2345-6777") == "abcdefgh23456777"


async def test_an_app_counts_once_it_is_confirmed_and_is_asked_for_from_then_on(home: Home, hand: Hand) -> None:
    token = (await login(home)).json()["access_token"]
    assert slug(await as_ada(home, "totp", token, password="wrong")) == "sign-in-refused"
    first = (await as_ada(home, "totp", token, password=PASSWORD)).json()
    second = (await as_ada(home, "totp", token, password=PASSWORD)).json()
    assert (await login(home)).status_code == 200
    of_first, of_second = (pyotp.TOTP(one["secret"]).at(hand.at) for one in (first, second))
    assert (await as_ada(home, "totp/confirm", token, code=of_first)).status_code == 401
    confirmed = await as_ada(home, "totp/confirm", token, code=of_second)
    assert len(confirmed.json()["recovery_codes"]) == 10
    again = await as_ada(home, "totp", token, password=PASSWORD)
    hand.forward(60)
    without, entered = await login(home), await login(home, pyotp.TOTP(second["secret"]).at(hand.at))

    assert slug(again) == "second-factor-is-on"
    assert (without.status_code, slug(without)) == (401, "second-factor-needed")
    assert entered.status_code == 200


async def test_a_code_is_good_once_even_when_two_send_it_at_once(home: Home, hand: Hand) -> None:
    app, _ = await taken_up(home, hand)
    code = app.at(hand.at)
    answers = await asyncio.gather(*(login(home, code) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]
    older = await login(home, app.at(hand.at - timedelta(seconds=30)))
    assert slug(older) == "second-factor-refused"
    hand.forward(30)
    assert (await login(home, app.at(hand.at))).status_code == 200


async def test_a_recovery_code_lets_in_once_and_its_user_is_told(home: Home, hand: Hand) -> None:
    _, codes = await taken_up(home, hand)
    answers = await asyncio.gather(*(login(home, codes[0].upper().replace("-", " ")) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    token = next(answer for answer in answers if answer.status_code == 200).json()["access_token"]
    async with home.client(secret=token) as ada:
        assert (await ada.get("/v1/auth/totp")).json()["recovery_codes_left"] == 9
    worker = home.house.worker()
    while await worker.run_due():
        pass
    sent = "".join(path.read_text() for path in home.house.config.main.var_dir.glob("**/*.eml"))
    assert "one of your recovery codes" in sent.replace("=\n", "")


async def test_wrong_codes_slow_down_and_asking_without_one_forgives_none(home: Home, hand: Hand) -> None:
    await taken_up(home, hand)
    answers = []
    for number in range(6):
        answers.append(await login(home, f"00000{number}"))
        answers.append(await login(home))
    refused = [slug(answer) for answer in answers]
    assert "sign-in-paused" in refused
    assert refused.count("second-factor-refused") <= 5


async def test_who_has_only_the_code_learns_nothing_about_it(home: Home, hand: Hand) -> None:
    app, _ = await taken_up(home, hand)
    wrong = await login(home, app.at(hand.at), password="wrong")
    assert slug(wrong) == "sign-in-refused"
    assert (await login(home, app.at(hand.at))).status_code == 200


async def test_the_factor_is_taken_away_with_a_code_only_and_the_codes_go_with_it(home: Home, hand: Hand) -> None:
    app, codes = await taken_up(home, hand)
    token = (await login(home, app.at(hand.at))).json()["access_token"]
    hand.forward(30)
    renewed = (await as_ada(home, "totp/recovery-codes", token, code=app.at(hand.at))).json()["recovery_codes"]
    assert set(renewed).isdisjoint(codes)
    assert (await as_ada(home, "totp/remove", token, code=codes[1])).status_code == 401
    assert (await as_ada(home, "totp/remove", token, code=renewed[0])).status_code == 204
    assert slug(await as_ada(home, "totp/remove", token, code=renewed[1])) == "second-factor-is-off"
    assert (await login(home)).status_code == 200


async def test_a_stolen_session_cannot_try_all_codes(home: Home, hand: Hand) -> None:
    app, _ = await taken_up(home, hand)
    token = (await login(home, app.at(hand.at))).json()["access_token"]
    said = [slug(await as_ada(home, "totp/remove", token, code=f"{number:06}")) for number in range(5)]
    hand.forward(30)
    right = await as_ada(home, "totp/remove", token, code=app.at(hand.at))
    assert set(said) <= {"second-factor-refused", "sign-in-paused"}
    assert right.status_code == 429


async def test_an_administrator_lets_in_who_lost_everything(home: Home, hand: Hand) -> None:
    app, _ = await taken_up(home, hand)
    token = (await login(home, app.at(hand.at))).json()["access_token"]
    async with home.client() as admin:
        (ada,) = (await admin.get("/v1/auth/users")).json()["items"]
        assert (await admin.delete(f"/v1/auth/users/{ada['id']}/totp")).status_code == 204
        assert (await admin.delete(f"/v1/auth/users/{ada['id']}/totp")).status_code == 409
        assert (await admin.get("/v1/auth/totp")).status_code == 403
    async with home.client(secret=token) as stale:
        assert (await stale.get("/v1/auth/me")).status_code == 401
    assert (await login(home)).status_code == 200


async def test_the_database_keeps_neither_the_secret_nor_a_recovery_code(home: Home, hand: Hand) -> None:
    app, codes = await taken_up(home, hand)
    kept = []
    async with home.house.database.begin() as db:
        for table in ("auth_totp", "auth_recovery", "audit_entry", "jobs_job", "notify_mail"):
            kept += [str(value) for row in await db.all(text(f"SELECT * FROM {table}")) for value in row]
    assert kept
    shown = [app.secret, *codes, *(plain(code) for code in codes)]
    assert not any(secret in value for secret in shown for value in kept)
