"""Who may do something to one object only: their own, what they asked for, what their duty covers; and never alone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from ossature.kernel import clock
from ossature.kernel.auth.policies import is_own, require_another, require_own, responsible
from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import NotFound
from ossature.kernel.http.policy import policy
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.service import Role, Service
from ossature.kernel.testing.houses import Home, open_house

PASSWORD = "seven green bottles on a wall"


@dataclass
class Errand:
    """Something that a ward asked for, a driver does, and somebody approves."""

    id: UUID
    driver: str
    ward: str
    author: UUID
    approved: bool = False


@dataclass
class Book:
    """The errands of this test's house."""

    errands: dict[UUID, Errand] = field(default_factory=dict)

    def find(self, errand_id: UUID) -> Errand:
        if errand_id not in self.errands:
            raise NotFound
        return self.errands[errand_id]


class ErrandIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    driver: str
    ward: str


class ErrandOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    driver: str
    ward: str
    approved: bool


router = APIRouter()


@router.post("", status_code=201)
@policy(allow="ask:errands")
async def ask(ctx: CurrentCtx, body: ErrandIn) -> ErrandOut:
    """A requester asks for their own ward only; a dispatcher for any."""
    require_own(ctx.actor, "ward", body.ward, unless="write:errands")
    author = responsible(ctx.actor)
    assert author is not None
    errand = Errand(clock.new_id(), body.driver, body.ward, author)
    ctx.port(Book).errands[errand.id] = errand
    return ErrandOut.model_validate(errand)


@router.get("/{errand_id}")
@policy(allow="see:errands")
async def see(ctx: CurrentCtx, errand_id: UUID) -> ErrandOut:
    """A driver sees what is theirs to do, a requester what is for their ward."""
    errand = ctx.port(Book).find(errand_id)
    if not is_own(ctx.actor, "ward", errand.ward):
        require_own(ctx.actor, "driver", errand.driver, unless="write:errands")
    return ErrandOut.model_validate(errand)


@router.post("/{errand_id}/approve")
@policy(allow="approve:errands")
async def approve(ctx: CurrentCtx, errand_id: UUID) -> ErrandOut:
    """Four eyes, and one's own duty."""
    errand = ctx.port(Book).find(errand_id)
    require_own(ctx.actor, "duty", errand.ward, unless="write:errands")
    require_another(ctx.actor, errand.author)
    errand.approved = True
    return ErrandOut.model_validate(errand)


ERRANDS = Service(
    name="errands",
    router=router,
    offers={Book: lambda _: Book()},
    permissions=frozenset({"ask:errands", "see:errands", "approve:errands", "write:errands"}),
    roles=(
        Role("requester", frozenset({"ask:errands", "see:errands"})),
        Role("driver", frozenset({"see:errands"})),
        Role("head", frozenset({"ask:errands", "see:errands", "approve:errands"})),
    ),
)


@dataclass
class Ward:
    """A house with a client for each person, signed in with a password."""

    home: Home
    admin: httpx.AsyncClient
    people: dict[str, httpx.AsyncClient]

    async def errand(self, by: str, **about: str) -> httpx.Response:
        return await self.people[by].post("/v1/errands", json={"driver": "d1", "ward": "w1", **about})


PEOPLE = {
    "requester": (["requester"], {"ward": "w1"}),
    "elsewhere": (["requester"], {"ward": "w2"}),
    "driver": (["driver"], {"driver": "d1"}),
    "colleague": (["driver"], {"driver": "d2"}),
    "head": (["head"], {"ward": "w1", "duty": "w1"}),
    "deputy": (["head"], {"ward": "w1", "duty": "w1"}),
    "other_head": (["head"], {"ward": "w2", "duty": "w2"}),
    "owner": (["owner"], {}),
    "second_owner": (["owner"], {}),
}


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(
            open_house(ERRANDS, var_dir=tmp_path, settings=[QuotaSettings(enabled=False)])
        )
        admin = await stack.enter_async_context(home.client())
        people = {}
        for name, (roles, bound) in PEOPLE.items():
            email = f"{name}@example.org"
            body = {"email": email, "name": name, "password": PASSWORD, "roles": roles, "bound": bound}
            made = await admin.post("/v1/auth/users", json=body)
            assert made.is_success, made.text
            login = await admin.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
            people[name] = await stack.enter_async_context(home.client(secret=login.json()["access_token"]))
        yield Ward(home, admin, people)


async def statuses(ward: Ward, method: str, path: str, *names: str) -> dict[str, int]:
    return {name: (await ward.people[name].request(method, path)).status_code for name in names}


async def test_everybody_sees_their_own_and_is_not_told_what_others_have(ward: Ward) -> None:
    made = (await ward.errand("requester")).json()

    seen = await statuses(ward, "GET", f"/v1/errands/{made['id']}", *PEOPLE)

    assert seen == {
        "requester": 200, "elsewhere": 404, "driver": 200, "colleague": 404, "head": 200, "deputy": 200,
        "other_head": 404, "owner": 200, "second_owner": 200,
    }  # fmt: skip


async def test_a_requester_asks_for_their_own_institution_only(ward: Ward) -> None:
    assert (await ward.errand("requester")).status_code == 201
    assert (await ward.errand("requester", ward="w2")).status_code == 404
    assert (await ward.errand("driver")).status_code == 403
    assert (await ward.errand("owner", ward="w2")).status_code == 201


async def test_a_duty_approves_only_where_it_is_on_and_never_its_own(ward: Ward) -> None:
    made = (await ward.errand("head")).json()
    path = f"/v1/errands/{made['id']}/approve"

    refused = await statuses(ward, "POST", path, "requester", "other_head", "head")
    problem = (await ward.people["head"].post(path)).json()
    approved = await ward.people["deputy"].post(path)

    assert refused == {"requester": 403, "other_head": 404, "head": 403}
    assert problem["type"].endswith("/four-eyes")
    assert approved.json()["approved"] is True


async def test_nobody_is_their_own_second_pair_of_eyes_by_a_key(ward: Ward) -> None:
    async def key_of(client: httpx.AsyncClient) -> str:
        made = await client.post("/v1/auth/keys", json={"name": "k", "roles": ["owner"]})
        assert made.is_success, made.text
        secret: str = made.json()["secret"]
        return secret

    async def approve(secret: str, errand: dict[str, Any]) -> int:
        async with ward.home.client(secret=secret) as http:
            return (await http.post(f"/v1/errands/{errand['id']}/approve")).status_code

    own = await key_of(ward.people["owner"])
    async with ward.home.client(secret=own) as by_key:
        key_of_key = await key_of(by_key)
        asked_by_key = (await by_key.post("/v1/errands", json={"driver": "d1", "ward": "w1"})).json()
    asked = (await ward.errand("owner")).json()

    assert [await approve(secret, asked) for secret in (own, key_of_key)] == [403, 403]
    assert (await ward.people["owner"].post(f"/v1/errands/{asked_by_key['id']}/approve")).status_code == 403
    assert await approve(await key_of(ward.people["second_owner"]), asked) == 200
    assert (await ward.people["second_owner"].post(f"/v1/errands/{asked_by_key['id']}/approve")).status_code == 200


async def test_another_duty_holds_at_once_and_an_auditor_takes_the_trail_along_but_changes_nothing(ward: Ward) -> None:
    made = (await ward.errand("head")).json()
    users = (await ward.admin.get("/v1/auth/users")).json()["items"]
    other_head = next(one for one in users if one["name"] == "other_head")["id"]
    moved = await ward.admin.patch(f"/v1/members/{other_head}", json={"bound": {"duty": "w1"}})
    assert moved.is_success, moved.text
    assert (await ward.people["other_head"].post(f"/v1/errands/{made['id']}/approve")).status_code == 200

    auditor = (await ward.admin.post("/v1/auth/keys", json={"name": "a", "roles": ["auditor"]})).json()["secret"]
    viewer = (await ward.admin.post("/v1/auth/keys", json={"name": "v", "roles": ["viewer"]})).json()["secret"]
    async with ward.home.client(secret=auditor) as http:
        exported = await http.get("/v1/audit/export")
        assert (await http.get("/v1/audit/verify")).json()["intact"] is True
        assert (await http.post("/v1/auth/keys", json={"name": "x"})).status_code == 403
    async with ward.home.client(secret=viewer) as http:
        assert (await http.get("/v1/audit/export")).status_code == 403
    assert "key.created" in exported.text
