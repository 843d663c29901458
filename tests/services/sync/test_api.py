"""Sync over HTTP: declared, planned, looked at, approved, applied, watched."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from ossature.kernel.db import lease
from ossature.kernel.jobs.worker import Worker
from ossature.services.sync.usecases.pipelines import lock_name
from tests.services.sync.builders import PEOPLE
from tests.services.sync.conftest import Sync

ADA = "ada@example.org,Ada,Byron,oui,31/01/2026"
BEA = "bea@example.org,Bea,Stone,non,01/02/2026"
ROOT = "/v1/sync"


def found(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.url}: {answer.text}"
    return answer.json()


def refused(answer: httpx.Response, status: int, kind: str) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(f"/{kind}")
    return answer.json()


async def planned(http: httpx.AsyncClient, worker: Worker, **asked: Any) -> Any:
    """A plan, made by a worker as it was asked for."""
    answer = await http.post(f"{ROOT}/plans", json=asked)
    assert answer.status_code == 202, answer.text
    await worker.run_due()
    job = found(await http.get(answer.headers["location"]))
    assert job["state"] == "succeeded", job["error"]
    return found(await http.get(f"{ROOT}/plans/{job['result']['plan']}"))


async def test_a_plan_is_made_looked_at_approved_and_applied(
    sync: Sync, http: httpx.AsyncClient, worker: Worker
) -> None:
    sync.people(ADA, BEA)
    plan = await planned(http, worker)
    path = f"{ROOT}/plans/{plan['sha256']}"
    assert (plan["state"], plan["demands"], plan["counts"]) == ("blocked", {"creates": 2}, {"create": 2})

    refused(await http.post(f"{ROOT}/runs", json={"plan": plan["sha256"]}), 409, "sync-blocked")
    wrong = refused(await http.post(f"{path}/approve", json={"allow": {"creates": 1}}), 409, "approval-mismatch")
    assert wrong["expected"] == {"creates": 2}
    assert found(await http.post(f"{path}/approve", json={"allow": {"creates": 2}}))["state"] == "approved"
    started = await http.post(f"{ROOT}/runs", json={"plan": plan["sha256"][:12]})
    await worker.run_due()

    run = found(await http.get(started.headers["location"]))
    assert (run["state"], run["counts"], run["author"]) == ("succeeded", {"done": 2}, plan["author"])
    ops = found(await http.get(f"{ROOT}/runs/{run['id']}/ops", params={"state": "done"}))["items"]
    assert [(op["key"], op["evidence"]) for op in ops] == [
        (["ada@example.org"], "verified"),
        (["bea@example.org"], "verified"),
    ]
    assert found(await http.get(path))["state"] == "applied"
    assert len(sync.there()) == 2


async def test_an_author_is_who_asked_and_not_the_worker(sync: Sync, http: httpx.AsyncClient, worker: Worker) -> None:
    sync.people(ADA)

    plan = await planned(http, worker, pipelines=["people"])

    assert plan["author"] == found(await http.get("/v1/auth/me"))["name"]


async def test_the_operations_of_a_plan_come_in_pages_and_by_what_is_asked(
    sync: Sync, http: httpx.AsyncClient, worker: Worker
) -> None:
    sync.people(*(f"p{n:02}@example.org,P,{n},oui," for n in range(25)))
    await sync.first_run()
    sync.people(*(f"p{n:02}@example.org,{'Q' if n < 3 else 'P'},{n},oui," for n in range(27)))
    path = f"{ROOT}/plans/{(await planned(http, worker))['sha256']}/ops"

    pages, cursor = [], ""
    while cursor is not None:
        page = found(await http.get(path, params={"limit": 2, "cursor": cursor}))
        pages.append([one["op"] for one in page["items"]])
        cursor = page["next"]
    changed = found(await http.get(path, params={"field": "name"}))["items"]
    one = found(await http.get(path, params={"key": "P25@", "op": "create", "pipeline": "people"}))["items"]

    assert sorted(op for page in pages for op in page) == ["create"] * 2 + ["update"] * 3
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [change["fields"] for change in changed] == [
        [{"name": "name", "before": f"P {n}", "after": f"Q {n}", "rule": "trim + null_as_empty"}] for n in range(3)
    ]
    assert [create["after"]["mail"] for create in one] == ["p25@example.org"]
    refused(await http.get(path, params={"limit": 2, "cursor": "bm90LW91cnM"}), 422, "invalid-input")


async def test_the_file_of_a_plan_is_what_its_name_says(sync: Sync, http: httpx.AsyncClient, worker: Worker) -> None:
    sync.people(ADA)
    plan = await planned(http, worker)

    answer = await http.get(f"{ROOT}/plans/{plan['sha256']}/file")
    again = await http.get(f"{ROOT}/plans/{plan['sha256']}/file", headers={"if-none-match": answer.headers["etag"]})

    assert hashlib.sha256(answer.content).hexdigest() == plan["sha256"]
    assert answer.headers["etag"] == f'"{plan["sha256"]}"'
    assert again.status_code == 304


async def test_a_rejected_plan_is_never_applied(sync: Sync, http: httpx.AsyncClient, worker: Worker) -> None:
    sync.people(ADA)
    sha256 = (await planned(http, worker))["sha256"]

    assert found(await http.post(f"{ROOT}/plans/{sha256}/reject", json={"reason": "not today"}))["state"] == "rejected"

    refused(await http.post(f"{ROOT}/runs", json={"plan": sha256}), 409, "plan-applied")
    refused(await http.post(f"{ROOT}/plans/{sha256}/approve", json={"allow": {"creates": 1}}), 409, "plan-applied")


async def test_pipelines_that_nothing_forbids_are_planned_and_applied_in_one_go(
    sync: Sync, http: httpx.AsyncClient, worker: Worker
) -> None:
    sync.people(ADA)
    await sync.first_run()
    sync.people(ADA.replace("Byron", "King"))

    answer = await http.post(f"{ROOT}/runs", json={"pipelines": ["people"]})
    for _ in range(3):
        await worker.run_due()

    assert answer.status_code == 202
    assert found(await http.get(f"{ROOT}/runs"))["items"][0]["state"] == "succeeded"
    assert sync.there() == ["ada@example.org,Ada King,true,2026-01-31"]


async def test_nothing_is_begun_while_somebody_has_the_target(sync: Sync, http: httpx.AsyncClient) -> None:
    sync.people(ADA)

    async with lease.holding(sync.home.house.database, lock_name(sync.home.tenant.id, "files")):
        refused(await http.post(f"{ROOT}/plans", json={}), 409, "target-locked")
        held = found(await http.get(f"{ROOT}/status"))["targets"][0]

    assert (held["connection"], bool(held["held_by"]), held["in_doubt"]) == ("files", True, None)
    assert found(await http.get(f"{ROOT}/status"))["targets"][0]["held_by"] is None


async def test_a_request_with_the_same_key_plans_once(sync: Sync, http: httpx.AsyncClient) -> None:
    sync.people(ADA)

    answers = [await http.post(f"{ROOT}/plans", json={}, headers={"idempotency-key": "tonight"}) for _ in range(2)]

    assert answers[0].json() == answers[1].json()


async def test_a_pipeline_is_changed_in_the_version_that_was_read(http: httpx.AsyncClient) -> None:
    path = f"{ROOT}/pipelines/people"
    read = await http.get(path)
    text = PEOPLE + "# another text\n"

    refused(await http.put(path, json={"toml": text}), 428, "precondition-required")
    saved = await http.put(path, json={"toml": text}, headers={"if-match": read.headers["etag"]})
    refused(
        await http.put(path, json={"toml": PEOPLE}, headers={"if-match": read.headers["etag"]}),
        412,
        "precondition-failed",
    )

    assert found(saved)["version_n"] == 2
    versions = found(await http.get(f"{path}/versions"))["items"]
    assert [(one["n"], one["toml"]) for one in versions] == [(2, text), (1, PEOPLE)]
    assert found(await http.get(f"{path}/versions/1"))["sha256"] == found(read)["version"]
    refused(await http.get(f"{path}/versions/3"), 404, "version-unknown")


async def test_a_pipeline_comes_and_goes(http: httpx.AsyncClient) -> None:
    text = PEOPLE.replace('name = "people"', 'name = "hr.people"')

    made = await http.post(f"{ROOT}/pipelines", json={"toml": text})
    refused(await http.post(f"{ROOT}/pipelines", json={"toml": text}), 409, "pipeline-exists")
    off = found(await http.patch(f"{ROOT}/pipelines/hr.people", json={"enabled": False}))
    gone = await http.delete(f"{ROOT}/pipelines/hr.people")

    assert (made.status_code, made.headers["location"]) == (201, f"{ROOT}/pipelines/hr.people")
    assert (off["enabled"], gone.status_code) == (False, 204)
    refused(await http.get(f"{ROOT}/pipelines/hr.people"), 404, "pipeline-unknown")
    assert [one["name"] for one in found(await http.get(f"{ROOT}/pipelines"))["items"]] == ["people"]


async def test_every_fault_of_a_pipeline_is_named_with_its_line(http: httpx.AsyncClient) -> None:
    text = PEOPLE.replace("strip = true", "stripp = true").replace('rule = "ci"', 'rule = "cii"')

    document = refused(await http.post(f"{ROOT}/pipelines/validate", json={"toml": text}), 422, "pipeline-invalid")

    assert [(one["pointer"], one["code"]) for one in document["errors"]] == [
        ("/map/mail/stripp", "extra_forbidden"),
        ("/compare/mail", "value_error"),
    ]
    assert "did you mean 'strip'" in document["errors"][0]["message"]
    assert found(await http.post(f"{ROOT}/pipelines/validate", json={"toml": PEOPLE}))["name"] == "people"


async def test_saving_opens_nothing_and_trying_says_what_is_wrong(http: httpx.AsyncClient) -> None:
    wants = {"name": "shop", "kind": "sql", "secrets": {"url": "NOT_SET"}}
    found(await http.post(f"{ROOT}/connections", json=wants))
    text = PEOPLE.replace('"files"\npath = "people.csv"', '"shop"\nquery = "SELECT 1"')

    saved = await http.post(f"{ROOT}/pipelines", json={"toml": text.replace('name = "people"', 'name = "shop"')})
    tried = found(await http.post(f"{ROOT}/pipelines/shop/check"))

    assert saved.status_code == 201
    assert (tried["good"], tried["target"]["problem"]) == (False, "")
    assert "OSSATURE_SYNC_SECRET_NOT_SET" in tried["source"]["problem"]


async def test_trying_names_the_columns_that_are_missing(sync: Sync, http: httpx.AsyncClient) -> None:
    sync.people("ada@example.org,Ada", header="Mail,First")

    tried = found(await http.post(f"{ROOT}/pipelines/people/check"))

    assert (tried["good"], tried["missing"]) == (False, ["Active", "Last", "Since"])
    assert tried["source"]["columns"] == ["First", "Mail"]


async def test_a_connection_is_kept_while_a_pipeline_names_it(http: httpx.AsyncClient) -> None:
    path = f"{ROOT}/connections/files"
    tag = (await http.get(path)).headers["etag"]

    refused(await http.delete(path), 409, "connection-in-use")
    changed = await http.put(path, json={"kind": "file", "public": {"folder": "hr"}}, headers={"if-match": tag})
    refused(await http.put(path, json={"kind": "file"}, headers={"if-match": tag}), 412, "precondition-failed")
    refused(await http.post(f"{ROOT}/connections", json={"name": "files", "kind": "file"}), 409, "connection-exists")
    assert (await http.delete(f"{ROOT}/pipelines/people")).status_code == 204

    assert (await http.delete(path)).status_code == 204
    assert found(changed)["public"] == {"folder": "hr"}


async def test_a_record_has_a_history(sync: Sync, http: httpx.AsyncClient) -> None:
    sync.people(ADA)
    first = await sync.first_run()
    sync.people(ADA.replace("Byron", "King"))
    second = await sync.apply(await sync.plan())

    record = found(await http.get(f"{ROOT}/records", params={"pipeline": "people", "key": "ADA@example.org "}))

    assert (record["key"], record["owner"]) == (["ada@example.org"], "created")
    assert [(one["run_id"], one["kind"]) for one in record["operations"]] == [
        (str(second.id), "update"),
        (str(first.id), "create"),
    ]
    refused(await http.get(f"{ROOT}/records", params={"pipeline": "people", "key": ["a", "b"]}), 422, "invalid-input")


async def test_rows_in_quarantine_are_listed(sync: Sync, http: httpx.AsyncClient) -> None:
    sync.people(ADA, "bad@example.org,Bad,Row,maybe,")
    await sync.plan()

    held = found(await http.get(f"{ROOT}/quarantine", params={"pipeline": "people"}))["items"]

    assert [(one["key"], one["field"], one["attempts"]) for one in held] == [(["bad@example.org"], "active", 1)]
    assert found(await http.get(f"{ROOT}/status"))["pipelines"][0]["quarantined"] == 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("plans/0123456789ab", "plan-unknown"),
        ("runs/018f2f4e-0000-7000-8000-000000000000", "run-unknown"),
        ("pipelines/nobody", "pipeline-unknown"),
        ("connections/nobody", "connection-unknown"),
    ],
)
async def test_what_is_not_there_is_said_in_its_own_words(http: httpx.AsyncClient, path: str, kind: str) -> None:
    refused(await http.get(f"{ROOT}/{path}"), 404, kind)


async def test_of_two_that_change_or_add_the_same_thing_at_once_one_is_told(http: httpx.AsyncClient) -> None:
    path = "/v1/sync/connections/files"
    tag = {"if-match": (await http.get(path)).headers["etag"]}
    bodies = [{"kind": "file", "public": {"folder": str(n)}} for n in range(6)]
    toml = PEOPLE.replace('name = "people"', 'name = "people.again"')

    changed = await asyncio.gather(*(http.put(path, json=body, headers=tag) for body in bodies))
    added = await asyncio.gather(
        *(http.post("/v1/sync/connections", json={"name": "new", **body}) for body in bodies),
    )
    saved = await asyncio.gather(*(http.post("/v1/sync/pipelines", json={"toml": toml}) for _ in range(4)))

    assert sorted(one.status_code for one in changed) == [200, *[412] * 5]
    assert sorted(one.status_code for one in added) == [201, *[409] * 5]
    assert sorted(one.status_code for one in saved) == [201, *[409] * 3]
