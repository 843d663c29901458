"""A product that fails tells Sentry where, and nothing of those whom it failed."""

from pathlib import Path

import pytest

from tests.journeys.product import Product, asked, until
from tests.sentry import sentry

pytestmark = pytest.mark.journey

PERSON = {"name": "Grace Hopper", "email": "grace.hopper@example.org", "password": "nanosecond of copper wire"}


def test_route_and_job_fail_and_nothing_about_the_person_is_told(tmp_path: Path) -> None:
    with sentry() as told:
        environment = {"SENTRY_DSN": told.dsn, "SENTRY_RELEASE": "ward@7"}
        with Product(tmp_path, environment, module="tests.journeys.ward") as product:
            key = product.key
            headers = {"Authorization": f"Bearer {key}", "X-Ward": "planted-header", "User-Agent": "planted-agent"}
            status, _, said = asked(product.port, "POST", "/v1/ward/patients/Hopper", PERSON, headers)
            assert status == 500, said
            status, _, said = asked(product.port, "POST", "/v1/ward/patients/later", PERSON, headers)
            assert status == 200, said
            until(lambda: len(told.events) >= 2, "the route and the job are told")

    by_logger = {event["logger"]: event for event in told.events}
    assert by_logger.keys() == {"http.unexpected", "job.dead"}
    failed = by_logger["http.unexpected"]
    assert failed["transaction"] == "/v1/ward/patients/{name}"
    assert failed["release"] == "ward@7"
    assert failed["tags"]["request_id"] in (tmp_path / "product.log").read_text()
    assert by_logger["job.dead"]["tags"]["job"] == "ward.lay_down"
    assert {event["exception"]["values"][-1]["type"] for event in told.events} == {"LookupError"}
    sent = "".join(told.wire)
    planted = [*PERSON.values(), "Hopper", "grace", "nanosecond", "planted", key, "no bed for Grace"]
    assert [word for word in planted if word in sent] == []
