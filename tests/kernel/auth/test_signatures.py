"""Signed requests through the real edge; signed by another implementation of RFC 9421 than ours."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, Request
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from sqlalchemy import func, select

from ossature.kernel import clock
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.auth.signatures.jobs import FORGET_NONCES
from ossature.kernel.auth.signatures.store import NonceRow
from ossature.kernel.context import CurrentCtx
from ossature.kernel.house import House
from ossature.kernel.http.policy import policy
from ossature.kernel.service import Service
from ossature.kernel.testing.houses import PEER, Home, open_house

router = APIRouter(tags=["vault"])


@router.post("/gold")
@policy(allow="*", signed=True, max_body_bytes=3_000_000)
async def add_gold(ctx: CurrentCtx, request: Request, a: int = 0) -> dict[str, Any]:
    return {"a": a, "who": ctx.actor.name, "size": len(await request.body())}


@router.get("/open")
@policy(allow="*")
async def read_open(ctx: CurrentCtx) -> dict[str, Any]:
    return {"who": ctx.actor.name}


VAULT = Service(name="vault", router=router)
GOLD, OPEN = "/v1/vault/gold", "/v1/vault/open"


@dataclass
class Signer:
    """Who signs requests. private: of Ed25519; else the shared secret."""

    id: str
    material: Any

    def __call__(self, request: httpx.Request, **how: Any) -> httpx.Request:
        """Sign a request; by default so that it is accepted."""
        shared = isinstance(self.material, bytes)
        algorithm = algorithms.HMAC_SHA256 if shared else algorithms.ED25519
        resolver = MappingKeyResolver(public_keys={}, private_keys={self.id: self.material})
        signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver)
        body = request.read() or None
        said = {"key_id": self.id, "created": clock.now(), "nonce": uuid4().hex, "tag": "ossature", "label": "sig1"}
        said |= {"body": body, "covered_component_ids": ("@method", "@target-uri")}
        signer.sign(request, **(said | how))
        return request


@asynccontextmanager
async def opened(tmp_path: Path, database_url: str) -> AsyncIterator[tuple[Home, httpx.AsyncClient]]:
    """A house with a vault, and a client of its administrator."""
    async with open_house(VAULT, var_dir=tmp_path, database_url=database_url) as home, home.client() as admin:
        yield home, admin


async def signer_of(admin: httpx.AsyncClient, *, ed25519: bool = False, **key: Any) -> tuple[Signer, str]:
    """A signing key of a new API key, and the secret of that one."""
    made = (await admin.post("/v1/auth/keys", json={"name": "robot", "roles": ["user"], **key})).json()
    about: dict[str, Any] = {"key_id": made["key"]["id"], "name": "machine"}
    private = Ed25519PrivateKey.generate()
    if ed25519:
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        about |= {"algorithm": "ed25519", "public_key": pem.decode()}
    answer = await admin.post("/v1/auth/signing-keys", json=about)
    assert answer.status_code == 201, answer.text
    issued = answer.json()
    material = private if ed25519 else base64.b64decode(issued["secret"])
    assert ed25519 == (issued["secret"] is None)
    return Signer(issued["signing_key"]["id"], material), made["secret"]


@pytest.fixture
async def vault(tmp_path: Path, sqlite_url: str) -> AsyncIterator[tuple[Home, httpx.AsyncClient, httpx.AsyncClient]]:
    """The house, its administrator, and a client without a credential."""
    async with opened(tmp_path, sqlite_url) as (home, admin), home.client(secret=None) as stranger:
        yield home, admin, stranger


def problem(answer: httpx.Response, status: int, slug: str) -> Mapping[str, Any]:
    """The problem document of a refusal, which must be this one."""
    assert (answer.status_code, answer.json().get("type", "").rpartition("/")[2]) == (status, slug), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: Mapping[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("ed25519", [False, True], ids=["hmac", "ed25519"])
async def test_who_signs_acts_as_the_api_key(vault: Any, ed25519: bool) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin, ed25519=ed25519)

    read = await http.send(sign(http.build_request("GET", f"{OPEN}")))
    wrote = await http.send(sign(http.build_request("POST", GOLD, content=b"x" * 2_000_000)))
    whole = ("@method", "@authority", "@path", "@query", "user-agent")
    asked = http.build_request("GET", "/v1/auth/me?", headers={"user-agent": "robot/1"})
    me = await http.send(sign(asked, covered_component_ids=whole))

    assert read.json() == {"who": "robot"}
    assert wrote.json() == {"a": 0, "who": "robot", "size": 2_000_000}
    assert me.json()["roles"] == ["user"]


async def test_a_body_that_streams_is_checked_at_its_end(vault: Any) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin)
    whole = b"gold" * 50_000

    async def parts(of: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(of), 4096):
            yield of[at : at + 4096]

    signed = sign(http.build_request("POST", GOLD, content=whole))
    headers = {name: value for name, value in signed.headers.items() if name != "content-length"}
    changed = sign(http.build_request("POST", GOLD, content=whole))
    changed_headers = {name: value for name, value in changed.headers.items() if name != "content-length"}

    assert (await http.post(GOLD, content=parts(whole), headers=headers)).json()["size"] == 200_000
    answer = await http.post(GOLD, content=parts(whole[:-1] + b"D"), headers=changed_headers)
    problem(answer, 400, "digest-differs")


async def test_a_request_that_was_changed_on_its_way_is_refused(vault: Any) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin)

    async def sent(change: Any, **how: Any) -> httpx.Response:
        request = http.build_request("POST", f"{GOLD}?a=1", content=b"one", headers={"x-purpose": "pay"})
        sign(request, **how)
        return await http.send(change(request))

    def to(method: str = "POST", url: str = f"{GOLD}?a=1", content: bytes = b"one", **headers: str | None) -> Any:
        def changed(request: httpx.Request) -> httpx.Request:
            kept = {name: value for name, value in request.headers.items() if headers.get(name, "") is not None}
            kept |= {name: value for name, value in headers.items() if value is not None}
            kept.pop("content-length")
            return http.build_request(method, url, content=content, headers=kept)

        return changed

    covers = {"covered_component_ids": ("@method", "@target-uri", "x-purpose")}
    assert (await sent(to())).status_code == 200
    problem(await sent(to(content=b"two")), 400, "digest-differs")
    problem(await sent(to(content=b"")), 400, "digest-differs")
    problem(await sent(to(method="PUT")), 401, "signature-refused")
    problem(await sent(to(url=f"{GOLD}?a=2")), 401, "signature-refused")
    problem(await sent(to(url=OPEN)), 401, "signature-refused")
    problem(await sent(to(host="other.test")), 401, "signature-refused")
    problem(await sent(to(**{"x-purpose": "steal"}), **covers), 401, "signature-refused")
    problem(await sent(to(**{"x-purpose": None}), **covers), 400, "signature-malformed")
    problem(await sent(to(**{"content-digest": None})), 400, "signature-malformed")


async def test_a_covered_part_cannot_be_taken_out_of_the_signature(vault: Any) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin)
    request = sign(http.build_request("POST", GOLD, content=b"one"))
    given = request.headers["signature-input"]

    for part, refused in (('"content-digest"', "signature-incomplete"), ('"@method" ', "signature-incomplete")):
        request.headers["signature-input"] = given.replace(part, "")
        assert part in given
        problem(await http.send(request), 401, refused)
    request.headers["signature-input"] = given.replace(uuid(given), uuid4().hex)
    problem(await http.send(request), 401, "signature-refused")


def uuid(given: str) -> str:
    """The nonce of a Signature-Input."""
    return given.partition('nonce="')[2].partition('"')[0]


async def test_a_body_that_no_digest_covers_is_not_taken(vault: Any) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin)
    request = sign(http.build_request("POST", GOLD, content=b"one"), body=None)
    answer = await http.send(request)

    problem(answer, 401, "body-not-signed")
    assert answer.headers["want-content-digest"].startswith("sha-256")


async def test_a_request_is_taken_once_by_all_processes_together(tmp_path: Path, database_url: str) -> None:
    async with (
        opened(tmp_path, database_url) as (home, admin),
        House.open((VAULT,), home.house.config) as second,
        home.client(secret=None) as here,
    ):
        sign, _ = await signer_of(admin)
        transport = httpx.ASGITransport(app=second.app(), client=PEER)
        async with httpx.AsyncClient(transport=transport, base_url="http://house.test") as there:
            request = sign(here.build_request("GET", OPEN))
            first, again, elsewhere = [await one.send(request) for one in (here, here, there)]
            at_once = sign(here.build_request("GET", OPEN))
            answers = await asyncio.gather(*(one.send(at_once) for one in (here, there) * 3))
        async with home.house.database.begin() as db:
            kept = await db.scalar(select(func.count()).select_from(NonceRow))

    assert first.status_code == 200
    problem(again, 401, "signature-replayed")
    problem(elsewhere, 401, "signature-replayed")
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]
    assert kept == 2


async def test_nonces_are_forgotten_when_they_are_of_no_use_any_more(vault: Any) -> None:
    home, admin, http = vault
    sign, _ = await signer_of(admin)
    for _ in range(3):
        assert (await http.send(sign(http.build_request("GET", OPEN)))).status_code == 200

    async with home.house.occasion() as ctx:
        early = await FORGET_NONCES.run(ctx)
    async with home.house.occasion() as ctx:
        ctx.now += timedelta(seconds=331)
        late = await FORGET_NONCES.run(ctx)

    assert (early, late) == (0, 3)


async def test_clocks_may_differ_a_little(vault: Any) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin)

    async def made(**ago: float) -> httpx.Response:
        return await http.send(sign(http.build_request("GET", OPEN), created=clock.now() - timedelta(**ago)))

    assert (await made(minutes=2)).status_code == 200
    assert problem(await made(minutes=6), 401, "signature-out-of-time")["age_most_s"] == 300
    problem(await made(minutes=-10), 401, "signature-out-of-time")
    ended = sign(http.build_request("GET", OPEN), expires=clock.now() - timedelta(seconds=1))
    problem(await http.send(ended), 401, "signature-out-of-time")


async def test_nothing_tells_which_signing_keys_there_are(vault: Any) -> None:
    """A key that is unknown, revoked, of a revoked API key, and one that does not fit are refused in the same words."""
    _, admin, http = vault
    good, _ = await signer_of(admin)
    revoked, _ = await signer_of(admin)
    orphan, _ = await signer_of(admin)
    assert (await admin.delete(f"/v1/auth/signing-keys/{revoked.id}")).json()["revoked_at"] is not None
    refusals = []
    for sign in (Signer(str(uuid4()), b"k" * 32), Signer("x" * 500, b"k" * 32), Signer(good.id, b"k" * 32), revoked,
                 Signer(good.id, Ed25519PrivateKey.generate())):  # fmt: skip
        answer = await http.send(sign(http.build_request("GET", OPEN)))
        document = problem(answer, 401, "signature-refused")
        refusals.append({name: value for name, value in document.items() if name not in ("request_id", "trace_id")})
    key = (await admin.get(f"/v1/auth/signing-keys/{orphan.id}")).json()["key_id"]
    await admin.delete(f"/v1/auth/keys/{key}")
    problem(await http.send(orphan(http.build_request("GET", OPEN))), 401, "credential-refused")

    assert all(one == refusals[0] for one in refusals)


async def test_guessed_signatures_are_not_verified_for_ever(tmp_path: Path, sqlite_url: str) -> None:
    strict = AuthSettings(bad_credentials_per_minute=3)
    async with (
        open_house(VAULT, var_dir=tmp_path, database_url=sqlite_url, settings=[strict]) as home,
        home.client(secret=None) as http,
    ):
        guess = Signer(str(uuid4()), b"k" * 32)
        answers = [await http.send(guess(http.build_request("GET", OPEN))) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_headers_that_are_doubled_or_huge_are_refused(vault: Any) -> None:
    _, admin, http = vault
    sign, _ = await signer_of(admin)
    i, s = "signature-input", "signature"

    async def sent(*lines: tuple[str, str]) -> httpx.Response:
        """A good request whose own fields stand where `lines` say GIVEN and VALUE."""
        request = sign(http.build_request("GET", OPEN))
        given, value = request.headers["signature-input"], request.headers["signature"]
        kept = [line for line in request.headers.raw if line[0].lower() not in (i.encode(), s.encode())]
        other = given.replace("sig1", "sig2")
        said = [
            (name, text.replace("GIVEN", given).replace("OTHER", other).replace("VALUE", value)) for name, text in lines
        ]
        kept += [(name.encode(), text.encode()) for name, text in said]
        return await http.send(httpx.Request("GET", request.url, headers=kept))

    for lines in (
        [(i, "GIVEN"), (i, "GIVEN"), (s, "VALUE")],
        [(i, "GIVEN"), (s, "VALUE"), (s, "VALUE")],
        [(i, "GIVEN, OTHER"), (s, "VALUE")],
        [(i, f'GIVEN;x="{"y" * 20_000}"'), (s, "VALUE")],
        [(i, "GIVEN"), (s, f"sig1=:{'A' * 20_000}:")],
        [(i, "GIVEN")],
        [(i, "nonsense("), (s, "VALUE")],
    ):
        problem(await sent(*lines), 400, "signature-malformed")
    theirs = [(i, 'bot=("@authority");tag="web-bot-auth"'), (s, "bot=:AAAA:")]
    assert (await sent(*theirs, (i, "GIVEN"), (s, "VALUE"))).json() == {"who": "robot"}


async def test_a_route_can_ask_for_signatures(vault: Any) -> None:
    _, admin, http = vault
    sign, secret = await signer_of(admin)
    bearer = {"authorization": f"Bearer {secret}"}

    problem(await http.post(GOLD, content=b"one"), 401, "unauthenticated")
    problem(await http.post(GOLD, content=b"one", headers=bearer), 401, "signature-required")
    both = http.build_request("POST", GOLD, content=b"one", headers=bearer)
    assert (await http.send(sign(both))).status_code == 200
    with pytest.raises(ValueError, match="who signs is somebody"):
        policy(public=True, signed=True)


async def test_a_key_can_be_for_signed_requests_only(vault: Any) -> None:
    _, admin, http = vault
    sign, secret = await signer_of(admin, signed_only=True)
    bearer = {"authorization": f"Bearer {secret}"}

    problem(await http.get(OPEN, headers=bearer), 401, "signature-required")
    problem(await http.get(OPEN, headers=bearer), 401, "signature-required")  # remembered by now
    assert (await http.send(sign(http.build_request("GET", OPEN)))).status_code == 200
    assert (await http.send(sign(http.build_request("GET", OPEN, headers=bearer)))).status_code == 200
    batch = {"requests": [{"path": OPEN}, {"path": "/v1/auth/me"}]}
    answers = (await http.send(sign(http.build_request("POST", "/v1/batch", json=batch)))).json()["answers"]
    assert [one["status"] for one in answers] == [200, 200]
    key = (await admin.get("/v1/auth/signing-keys")).json()["items"][0]["key_id"]
    await admin.patch(f"/v1/auth/keys/{key}", json={"signed_only": False})
    assert (await http.get(OPEN, headers=bearer)).status_code == 200


async def test_a_signature_and_a_credential_must_be_of_the_same_key(vault: Any) -> None:
    home, admin, http = vault
    sign, _ = await signer_of(admin)
    _, other = await signer_of(admin)

    for secret in (other, home.secret):
        request = http.build_request("GET", OPEN, headers={"authorization": f"Bearer {secret}"})
        problem(await http.send(sign(request)), 401, "signature-refused")
    wrong = http.build_request("GET", OPEN, headers={"authorization": "Bearer oss_wrong"})
    problem(await http.send(sign(wrong)), 401, "credential-refused")


async def test_what_an_api_key_is_bound_to_binds_its_signatures(vault: Any) -> None:
    _, admin, http = vault
    elsewhere, _ = await signer_of(admin, ip_allow=["203.0.113.0/24"])
    narrow, _ = await signer_of(admin, scopes=["read:tenant"])

    problem(await http.send(elsewhere(http.build_request("GET", OPEN))), 403, "address-not-allowed")
    me = await http.send(narrow(http.build_request("GET", "/v1/auth/me")))
    assert me.json()["permissions"] == ["read:tenant"]


async def test_nobody_makes_a_signing_key_of_a_key_that_may_do_more(vault: Any) -> None:
    home, admin, _ = vault
    mighty = (await admin.get("/v1/auth/me")).json()["id"]
    small = (await admin.post("/v1/auth/keys", json={"name": "clerk", "roles": ["admin"]})).json()
    async with home.client(secret=small["secret"]) as clerk:
        problem(
            await clerk.post("/v1/auth/signing-keys", json={"key_id": mighty, "name": "x"}), 403, "more-than-you-have"
        )
        problem(
            await clerk.post("/v1/auth/signing-keys", json={"key_id": str(uuid4()), "name": "x"}), 404, "unknown-key"
        )
        own = {"key_id": small["key"]["id"], "name": "x"}
        odd = await clerk.post("/v1/auth/signing-keys", json={**own, "algorithm": "ed25519"})
        assert problem(odd, 422, "invalid-input")["errors"][0]["pointer"] == "/public_key"
        for _ in range(10):
            assert (await clerk.post("/v1/auth/signing-keys", json=own)).status_code == 201
        problem(await clerk.post("/v1/auth/signing-keys", json=own), 409, "too-many-signing-keys")
        mine = (await clerk.get("/v1/auth/signing-keys", params={"key_id": own["key_id"]})).json()["items"]
        await clerk.delete(f"/v1/auth/signing-keys/{mine[0]['id']}")
        problem(await clerk.delete(f"/v1/auth/signing-keys/{mine[0]['id']}"), 409, "signing-key-is-revoked")
        told = (await clerk.get("/v1/audit", params={"action": "signing_key.revoked"})).json()["items"]
    assert [entry["what"] for entry in told] == [f"signing_key:{mine[0]['id']}"]
    assert "secret" not in json.dumps([told, mine])


async def test_the_address_before_a_proxy_may_be_signed(tmp_path: Path, sqlite_url: str) -> None:
    """TLS ends in front of us, and requests by the alias of all routes are signed as they were sent."""
    async with opened(tmp_path, sqlite_url) as (home, admin), home.client(secret=None) as http:
        sign, _ = await signer_of(admin)
        request = sign(httpx.Request("GET", "http://house.test/api/v1/vault/open"))
        assert (await http.send(request)).status_code == 200
        verifier = home.app.edge.keepers.signatures
        verifier._public = ("https", b"house.test")  # type: ignore[union-attr]
        signed = sign(httpx.Request("GET", "https://house.test/v1/vault/open"))
        signed.url = signed.url.copy_with(scheme="http")
        assert (await http.send(signed)).status_code == 200
