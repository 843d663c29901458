"""What one tenant owns is not there for another: every route is asked with the neighbour's key."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ossature.app import services
from ossature.kernel import clock
from ossature.kernel.auth.keys import domain as keys
from ossature.kernel.auth.keys import store as key_store
from ossature.kernel.context import Tenant
from ossature.kernel.files.archive import Files
from ossature.kernel.links.usecases import Links
from ossature.kernel.notify.domain import Channel, Notice, Recipient, Wording
from ossature.kernel.notify.usecases import notify
from ossature.kernel.quotas.domain import UsageEvent
from ossature.kernel.quotas.meter import Meter
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.tenants.takeout.archive import PURPOSE as EXPORT_PURPOSE
from ossature.kernel.testing.houses import Home, open_house
from ossature.services.dispatch.domain.plans import Plan, PlanState
from ossature.services.dispatch.store import plans
from ossature.services.predict.domain.facts import MatchFacts, MatchFile
from ossature.services.predict.domain.matches import CHAMPION, ModelVersion, NewPrediction
from ossature.services.predict.store import catalogue, models, predictions
from ossature.services.predict.usecases.importing import store_facts
from ossature.services.sync.usecases import plan as planning
from tests.house.served import Served, serving

# Parameters that name what belongs to nobody: the same for every tenant.
SHARED = {
    "address": "addresses that the installation refuses",
    "command": "what is asked of a trip",
    "edition": "files of the pages about the API",
    "house_flag": "flags of the installation",
    "kind": "legal documents of the installation",
    "language": "a language of a notice; the words that a tenant chose are asked for under its own key only",
    "model": "models of outside systems",
    "name": "schedules of the installation",
    "notice": "kinds of notices of the house",
    "operation_id": "operations of the product",
    "plan": "plans of the installation",
    "provider_id": "outside systems",
    "slug": "kinds of problems",
    "token": "of a signed link: it says itself for whom it is",
}
# Lists of what the installation has, the same for all.
ABOUT_THE_HOUSE = {
    "GET /v1/auth/denied-addresses", "GET /v1/auth/roles", "GET /v1/legal/documents", "GET /v1/legal/limits", "GET /v1/hub/operations", "GET /v1/hub/providers", "GET /v1/hub/quotas", "GET /v1/models",
    "GET /v1/platform/flags",
    "GET /v1/quotas/plans",
    "GET /v1/queues", "GET /v1/schedules", "GET /v1/webhooks/events",
}  # fmt: skip
# Lists that are empty for the key of this test: it has no sessions, accepts nothing, and nothing was anchored yet.
EMPTY_IN_ANY_CASE = {
    "GET /v1/auth/sessions",
    "GET /v1/audit/anchors",
    "GET /v1/legal/acceptances",
    "GET /v1/legal/pending",
}
OWNED = frozenset(
    {
        "key_id", "user_id", "project_id", "budget_id", "endpoint_id", "delivery_id", "session_id", "job_id", "seq",
        "message_id", "tenant_id", "export_id", "driver_id", "vehicle_id", "shift_id", "client_id", "booking_id",
        "trip_id", "plan_id", "run_id", "import_id", "place_id", "pipeline", "number", "connection", "sha256",
        "sync_run_id", "flag", "match_id", "model_id", "prediction_id", "link_id", "signing_key_id",
    }
)  # fmt: skip
MARK = "heirloom"
PIPELINE = f"""
schema = "ossature.sync/1"
name = "attic"
title = "{MARK}"
key = ["mail"]
[source]
connection = "shelf"
path = "people.csv"
[map]
mail = {{ column = "Mail" }}
active = {{ bool = "Active" }}
[target]
connection = "shelf"
collection = "staff"
"""
TOLD = Notice(
    name="shop.told",
    wordings={"en": Wording("A $what", "A $what is here.")},
    channels=frozenset({Channel.INBOX}),
    fields=frozenset({"what"}),
)


@dataclass(frozen=True)
class Town:
    """Two tenants. `owner` and `neighbour` are clients; `owned`: what the first one has, by the name of a parameter."""

    owner: httpx.AsyncClient
    neighbour: httpx.AsyncClient
    owned: Mapping[str, str]


def _found(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.url}: {answer.text}"
    return answer.json()


async def _shown(town: Town, path: str) -> str:
    """What the owner is shown there."""
    answer = await town.owner.get(path)
    assert answer.is_success, f"{path}: {answer.text}"
    return answer.text


async def _owner_of(home: Home, tenant_id: UUID) -> str:
    """The secret of a key of a tenant's owner, made as the first administrator's is."""
    secret = keys.new_secret()
    async with home.house.database.begin() as db:
        values = {"name": "owner", "hint": keys.hint(secret), "secret_digest": keys.digest(secret), "roles": ["owner"]}
        await key_store.add_key(db, tenant_id, values)
    return secret


async def _content() -> AsyncIterator[bytes]:
    yield MARK.encode()


async def _furnish(home: Home, http: httpx.AsyncClient, tenant: Tenant) -> dict[str, str]:
    """Everything that a tenant can own, made through the API where it has a door for that."""
    me = _found(await http.get("/v1/auth/me"))
    key = _found(await http.post("/v1/auth/keys", json={"name": MARK}))
    signs = {"key_id": key["key"]["id"], "name": MARK}
    signing_key = _found(await http.post("/v1/auth/signing-keys", json=signs))
    person = {"email": f"{MARK}@example.org", "name": MARK, "password": "a green horse under 4 stairs"}
    user = _found(await http.post("/v1/auth/users", json=person))
    project = _found(await http.post("/v1/projects", json={"slug": MARK, "name": MARK}))
    wanted = {"subject": "project", "subject_id": project["id"], "unit": "request", "limit": "10", "period": "day"}
    budget = _found(await http.post("/v1/quotas/budgets", json=wanted))
    _found(
        await http.post(
            "/v1/flags",
            json={"name": "attic.lamp", "title": MARK, "shares": {"on": 50, "off": 50}, "goal": "order.placed"},
        )
    )
    listens = {"url": f"https://example.org/{MARK}", "events": ["*"]}
    endpoint = _found(await http.post("/v1/webhooks", json=listens))
    delivery = _found(await http.post(f"/v1/webhooks/{endpoint['id']}/test"))
    login = {"email": person["email"], "password": person["password"], "tenant": tenant.slug}
    token = _found(await http.post("/v1/auth/login", json=login))["access_token"]
    as_user = {"authorization": f"Bearer {token}"}
    session = _found(await http.get("/v1/auth/sessions", headers=as_user))["items"][0]
    job = _found(await http.get("/v1/jobs"))["items"][0]
    entry = _found(await http.get("/v1/audit"))["items"][0]
    async with home.house.occasion(tenant) as ctx:
        await notify(ctx, TOLD, Recipient(person_id=UUID(me["id"])), {"what": MARK})
    message = _found(await http.get("/v1/inbox"))["items"][0]
    async with home.house.database.begin(tenant.id) as db:
        files = home.house.port(Files)
        export = await files.save(db, tenant.id, _content(), name=f"{MARK}.zip", purpose=EXPORT_PURPOSE)
        await home.house.port(Links).issue(db, tenant.id, "shop.order", MARK, until=clock.now() + timedelta(days=1))
    link = _found(await http.get("/v1/links"))["items"][0]
    used = UsageEvent(id=clock.new_id(), tenant_id=tenant.id, at=clock.now(), what=MARK, amount=Decimal(1))
    await home.house.port(Meter).write(used)
    return {
        **await _dispatched(home, http, tenant),
        **await _synced(home, http, tenant),
        **await _predicted(home, http, tenant),
        "key_id": key["key"]["id"],
        "signing_key_id": signing_key["signing_key"]["id"],
        "user_id": user["id"],
        "project_id": project["id"],
        "budget_id": budget["id"],
        "flag": "attic.lamp",
        "endpoint_id": endpoint["id"],
        "delivery_id": delivery["id"],
        "session_id": session["id"],
        "job_id": job["id"],
        "seq": str(entry["seq"]),
        "message_id": message["id"],
        "tenant_id": str(tenant.id),
        "export_id": str(export.id),
        "link_id": link["id"],
    }


async def _dispatched(home: Home, http: httpx.AsyncClient, tenant: Tenant) -> dict[str, str]:
    """What a tenant has of dispatch: a shift, a booking, a run and a plan."""
    driver = _found(await http.post("/v1/dispatch/drivers", json={"number": MARK, "name": MARK}))
    van = {"plate": MARK, "name": MARK, "layouts": [{"seats": 1}]}
    vehicle = _found(await http.post("/v1/dispatch/vehicles", json=van))
    here, there = ({"label": f"{MARK} {n}", "lat": 46.2, "lon": 6.1 + n / 100} for n in range(2))
    times = {"starts_at": "2031-03-03T06:00:00Z", "ends_at": "2031-03-03T14:00:00Z"}
    who = {"driver_id": driver["id"], "vehicle_id": vehicle["id"]}
    shift = _found(await http.post("/v1/dispatch/shifts", json={**who, **times, "base": here}))
    client = _found(await http.post("/v1/dispatch/clients", json={"reference": MARK, "last_name": MARK}))
    trip = {"from": here, "to": there, "time_rule": "arrive_by", "at": "2031-03-03T09:00:00Z"}
    booking = _found(await http.post("/v1/dispatch/bookings", json={"client_id": client["id"], "trips": [trip]}))
    run = _found(await http.post("/v1/dispatch/plans", json={"day": "2031-03-03"}))
    plan = Plan(
        id=clock.new_id(),
        day=date(2031, 3, 3),
        number=1,
        parent_id=None,
        run_id=UUID(run["id"]),
        state=PlanState.DRAFT,
        metrics={},
        created_at=clock.now(),
        published_at=None,
    )
    async with home.house.database.begin(tenant.id) as db:
        await plans.add_plan(db, tenant.id, plan, [])
    file = {"content": MARK, "headers": {"content-type": "text/csv"}, "params": {"name": f"{MARK}.csv"}}
    came = _found(await http.post("/v1/dispatch/imports", **file))
    return {
        "driver_id": driver["id"],
        "vehicle_id": vehicle["id"],
        "shift_id": shift["id"],
        "client_id": client["id"],
        "booking_id": booking["id"],
        "trip_id": booking["trips"][0]["id"],
        "place_id": booking["trips"][0]["from_place_id"],
        "run_id": run["id"],
        "plan_id": str(plan.id),
        "import_id": came["id"],
    }


async def _synced(home: Home, http: httpx.AsyncClient, tenant: Tenant) -> dict[str, str]:
    """What a tenant has of sync: two connections, a pipeline with a plan and a run, and a row in quarantine."""
    folder = home.house.config.main.var_dir / "sync" / str(tenant.id)
    folder.mkdir(parents=True)
    (folder / "people.csv").write_text(f"Mail,Active\n{MARK}@example.org,yes\nodd-{MARK}@example.org,perhaps\n")
    for name in ("shelf", "trunk"):
        made = {"name": name, "kind": "file", "public": {"note": MARK}}
        _found(await http.post("/v1/sync/connections", json=made))
    _found(await http.post("/v1/sync/pipelines", json={"toml": PIPELINE}))
    async with home.house.occasion(tenant) as ctx:
        view = await planning.make_plan(ctx)
    async with home.house.occasion(tenant) as ctx:
        await planning.approve(ctx, view.sha256, allow={"creates": 1, "invalid_rows": 1})
    run = _found(await http.post("/v1/sync/runs", json={"plan": view.sha256}))
    return {
        "pipeline": "attic",
        "number": "1",
        "connection": "trunk",
        "sha256": view.sha256,
        "sync_run_id": run["run_id"],
    }


async def _predicted(home: Home, http: httpx.AsyncClient, tenant: Tenant) -> dict[str, str]:
    """What a tenant has of predict: a match, a model and a prediction."""
    facts = MatchFacts(
        code=MARK,
        competition="E0",
        kind="main",
        season="2030-31",
        day=date(2031, 3, 3),
        kickoff_at=datetime(2031, 3, 3, 15, tzinfo=UTC),
        kickoff_is_exact=True,
        home=MARK,
        away=f"{MARK} too",
    )
    model = ModelVersion(
        id=clock.new_id(),
        name=CHAMPION,
        version="0" * 12,
        stage="champion",
        fitted_on=date(2031, 3, 1),
        trained_from=date(2021, 3, 1),
        trained_until=date(2031, 2, 27),
        rows=1000,
        artefact="{}",
        sha256=hashlib.sha256(b"{}").hexdigest(),
        created_at=clock.now(),
    )
    row = {
        **dict.fromkeys(("lam_home", "lam_away", "rho", "p_over_2_5", "p_btts")),
        "model": CHAMPION,
        "model_version": model.version,
        "trained_until": "2031-02-27",
        "inputs": "past_odds",
        "phase": "pre",
        "as_of": "2031-03-02T00:00:00Z",
        "p_home": 0.5,
        "p_draw": 0.25,
        "p_away": 0.25,
        "abstained": False,
        "reasons": "",
        "home": MARK,
    }
    async with home.house.occasion(tenant) as ctx:
        await store_facts(ctx, MatchFile((facts,), simulated=False), at=clock.now())
        await models.crown(ctx.db, tenant.id, model)
        match = (await catalogue.matches_named(ctx.db, tenant.id, [MARK]))[MARK]
        said = NewPrediction(match_id=match.id, kickoff_at=match.kickoff_at, row=row, inputs_hash="0" * 64)
        await predictions.append(ctx.db, tenant.id, await predictions.hold(ctx.db, tenant.id), [said])
    shown = _found(await http.get(f"/v1/predict/matches/{match.id}/predictions"))["items"]
    return {"match_id": str(match.id), "model_id": str(model.id), "prediction_id": shown[0]["id"]}


@pytest.fixture
async def town(tmp_path: Path, database_url: str) -> AsyncIterator[Town]:
    unlimited = QuotaSettings(enabled=False)
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(
            open_house(*services(), var_dir=tmp_path, database_url=database_url, settings=[unlimited])
        )
        admin = await stack.enter_async_context(home.client())
        made = _found(await admin.post("/v1/tenants", json={"slug": "next-door", "name": "Next door"}))
        owner = await stack.enter_async_context(home.client(secret=await _owner_of(home, home.tenant.id)))
        neighbour = await stack.enter_async_context(home.client(secret=await _owner_of(home, UUID(made["id"]))))
        yield Town(owner, neighbour, await _furnish(home, owner, home.tenant))


def _parameters(served: Served) -> set[str]:
    return set(re.findall(r"{(\w+)}", served.path))


NAMING = [one for one in serving().operations if one.route is not None and _parameters(one) - set(SHARED)]
LISTING = [
    one
    for one in serving().operations
    if one.method == "GET"
    and not _parameters(one)
    and str(one) not in ABOUT_THE_HOUSE
    and "items" in serving().answer_of(one).get("properties", {})
]
# The neighbour is an owner, and what is of the platform is not an owner's.
_NOT_THERE = {403, 404}


def test_every_parameter_names_something_that_is_owned_here_or_shared() -> None:
    known = {parameter for one in NAMING for parameter in _parameters(one)}

    assert known <= {*SHARED, *OWNED}


@pytest.fixture
def path_of(town: Town) -> Callable[[Served], str]:
    """The path of a route about what the first tenant owns."""
    others = {**dict.fromkeys(SHARED, "en"), "command": "cancel"}
    return lambda served: served.path.format(**{**others, **town.owned})


async def test_what_a_tenant_owns_is_not_there_for_its_neighbour(town: Town, path_of: Callable[[Served], str]) -> None:
    wrong = []
    for served in NAMING:
        answer = await town.neighbour.request(served.method, path_of(served), json=_example(served))
        if answer.status_code not in _NOT_THERE or MARK in answer.text:
            wrong.append(f"{served}: {answer.status_code} {answer.text[:200]}")

    assert wrong == []


async def test_a_refused_neighbour_has_changed_nothing(town: Town, path_of: Callable[[Served], str]) -> None:
    readable = [one for one in NAMING if one.method == "GET" and not (one.policy.allow or "").endswith(":tenants")]
    before = {str(one): await _shown(town, path_of(one)) for one in readable}

    for served in NAMING:
        if served.method != "GET":
            await town.neighbour.request(served.method, path_of(served), json=_example(served))

    assert {str(one): await _shown(town, path_of(one)) for one in readable} == before


async def test_no_list_shows_a_neighbour_what_another_tenant_owns(town: Town) -> None:
    own, shown = {}, {}
    for served in LISTING:
        if not (served.policy.allow or "").endswith(":tenants"):
            own[str(served)] = len(_found(await town.owner.get(served.path))["items"])
            shown[str(served)] = (await town.neighbour.get(served.path)).text

    assert {route for route, count in own.items() if not count} <= EMPTY_IN_ANY_CASE
    assert [route for route, text in shown.items() if MARK in text or any(id_ in text for id_ in _ids(town))] == []


async def test_no_other_answer_shows_a_neighbour_what_another_tenant_owns(town: Town) -> None:
    asked = [
        one
        for one in serving().operations
        if one.method == "GET"
        and one.route is not None
        and not _parameters(one)
        and "call:" not in (one.policy.allow or "")
    ]
    seen = {str(one): (await town.neighbour.get(one.path)).text for one in asked}

    assert [route for route, text in seen.items() if MARK in text] == []


def _ids(town: Town) -> list[str]:
    return [value for name, value in town.owned.items() if name not in {"seq", "number"}]


def _example(served: Served) -> Any:
    content = (served.operation or {}).get("requestBody", {}).get("content", {}).get("application/json")
    return content["example"] if content else None
