"""Every operation of the OpenAPI document, asked with what its schemas allow and with what they do not.

No answer is a failure of ours, and every answer is one that the document announces. `make test FULL=1` asks twenty times as often.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import hypothesis
import orjson
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ossature.app import services
from ossature.kernel.db import migrate
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.sim.app import create
from ossature.sim.run import started
from tests.house.places import ROOT
from tests.services.hub.serving import Served, served

pytestmark = pytest.mark.journey

DOCUMENT = orjson.loads((ROOT / "docs" / "reference" / "openapi.json").read_bytes())
# What does not end: a WebSocket, which has tests of its own (tests/kernel/http/test_live.py), and a stream of events.
SOCKET, STREAM = "/v1/live", "/v1/live/events"
# Would lock the administrator of this test out of the house: he may choose which addresses may ask.
DANGEROUS = {"ip_allow", "ip_deny"}
# Where something is made, and where its id is in the answer: half of the requests name what is really there.
MADE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "key_id": ("/v1/auth/keys", ("key", "id")),
    "user_id": ("/v1/auth/users", ("id",)),
    "project_id": ("/v1/projects", ("id",)),
    "budget_id": ("/v1/quotas/budgets", ("id",)),
    "endpoint_id": ("/v1/webhooks", ("id",)),
    "tenant_id": ("/v1/tenants", ("id",)),
    "connection": ("/v1/sync/connections", ("name",)),
    "pipeline": ("/v1/sync/pipelines", ("name",)),
}
TIME_LIMIT_S = 30
HEAD_MOST_BYTES = 60_000
# As much as can be asked in the time of a test; the profile `full` has a thousand.
TIMES = max(5, hypothesis.settings.default.max_examples // 10)
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def _operations() -> Iterator[Any]:
    """The operations in an order in which what is there is looked at before it is removed."""
    found = [each.ok() for each in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
    last = ("get", "post", "put", "patch", "delete")
    yield from sorted(
        (one for one in found if one.path not in {SOCKET, STREAM}), key=lambda one: last.index(one.method)
    )


def _checks(operation: Any) -> list[Any]:
    calls_out = DOCUMENT["paths"][operation.path][operation.method]["x-permission"].startswith("call:")
    return [*CHECKS, _is_no_failure_of_ours if calls_out else not_a_server_error]


def _is_no_failure_of_ours(_: Any, answer: Any, case: Case) -> None:
    """The outside world may be slow or away, or may not be asked (`cache=only`): that has a status of its own."""
    assert answer.status_code in {502, 503, 504} or answer.status_code < 500, f"{case.path}: {answer.status_code}"


every_operation = pytest.mark.parametrize("operation", list(_operations()), ids=lambda operation: operation.label)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The product behind a real socket, with the simulator as its outside world and without rate limits."""
    folder = tmp_path_factory.mktemp("house")
    url = f"sqlite:///{folder}/ossature.db"
    asyncio.run(_migrate(url))
    unlimited = {"OSSATURE_QUOTAS_ENABLED": "false"}
    with (
        started(create(seed=1)) as sim_url,
        served(url, folder, sim_url, unlimited, services()) as running,
    ):
        yield running


async def _migrate(url: str) -> None:
    database = Database(DatabaseSettings(url=url))
    try:
        await migrate.upgrade(database)
    finally:
        await database.close()


@pytest.fixture(scope="module")
def known(house: Served) -> dict[str, str]:
    """Ids of what is really there, by the name of a path parameter, made from the document's own examples."""
    ids = {"provider_id": "open_meteo", "operation_id": "weather.current", "language": "en"}
    for parameter, (path, steps) in MADE.items():
        example = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = requests.post(house.url + path, json=example, headers=house.headers, timeout=TIME_LIMIT_S)
        assert answer.status_code == 201, f"{path}: {answer.text}"
        found = answer.json()
        for step in steps:
            found = found[step]
        ids[parameter] = found
    return ids


@pytest.fixture
def ask(house: Served, known: dict[str, str]) -> Callable[[Case, bool], requests.Response]:
    """Sends one case with the administrator's key. Its second argument: whether it is about what is really there."""

    def send(case: Case, real: bool) -> requests.Response:
        if real and case.path_parameters:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        if isinstance(case.body, dict):
            case.body = {name: value for name, value in case.body.items() if name not in DANGEROUS}
        # The web server itself refuses a longer head, before the house is asked.
        query = urlencode(case.query or {}, doseq=True)
        hypothesis.assume(len(query) < HEAD_MOST_BYTES)
        answer: requests.Response = case.call(base_url=house.url, headers=house.headers, timeout=TIME_LIMIT_S)
        return answer

    return send


def _often(test: Callable[..., None]) -> Callable[..., None]:
    settings = hypothesis.settings(
        max_examples=TIMES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate,),
    )
    return settings(test)


@every_operation
def test_what_the_document_allows_is_answered_as_it_says(operation: Any, ask: Callable[..., Any]) -> None:
    @_often
    @hypothesis.given(case=operation.as_strategy(), real=st.booleans())
    def check(case: Case, real: bool) -> None:
        case.validate_response(ask(case, real), checks=_checks(operation))

    check()


@every_operation
def test_what_the_document_does_not_allow_is_refused(operation: Any, ask: Callable[..., Any]) -> None:
    @_often
    @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def check(case: Case) -> None:
        case.validate_response(ask(case, real=False), checks=[*_checks(operation), negative_data_rejection])

    try:
        check()
    except hypothesis.errors.Unsatisfiable:
        pytest.skip("nothing that can be sent is not allowed")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_a_stream_begins_as_the_document_says_or_is_refused(house: Served, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENT)[STREAM]["get"]
    kinds: set[str] = set()

    @_often
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        headers = {**case.headers, **house.headers}
        with requests.get(
            house.url + STREAM, params=case.query, headers=headers, stream=True, timeout=TIME_LIMIT_S
        ) as answer:
            kind = answer.headers["content-type"].partition(";")[0]
        kinds.add(kind)
        assert (answer.status_code, kind) == (200, "text/event-stream") or (
            400 <= answer.status_code < 500 and kind == "application/problem+json"
        ), f"{case.query}: {answer.status_code} {kind}"

    check()
    assert "application/problem+json" in kinds if mode is GenerationMode.NEGATIVE else "text/event-stream" in kinds
