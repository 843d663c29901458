"""What is told to Sentry, and what is not: read off the wire by a server that speaks its protocol."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from ossature.kernel.errors import Misconfigured
from ossature.kernel.observe import logs, sentry
from ossature.kernel.observe.settings import ObserveSettings
from tests.sentry import PUBLIC_KEY, Sentry
from tests.sentry import sentry as receiving

PERSON = ("Ada Lovelace", "ada.lovelace@example.org", "+41 79 123 45 67", "CH93 0076 2011 6238 5295 7")
KEY = "oss_4f9c0a7b2d1e8c3f5a6b"


@pytest.fixture
def told() -> Iterator[Sentry]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with receiving() as found:
        yield found
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


def _reporter(told: Sentry, **settings: Any) -> sentry.Reporter:
    chosen = ObserveSettings(sentry_dsn=SecretStr(told.dsn), log_format="json", **settings)
    found = sentry.reporter(chosen, logs.masker, environment="production")
    assert found is not None
    logs.configure(chosen, stream=io.BytesIO(), told=[found])
    return found


def _fail(person: tuple[str, ...], key: str) -> None:
    name, email, phone, iban = person
    try:
        {}[name]
    except KeyError as error:
        raise ValueError(f"no bed for {name} ({email}, {phone}), {iban}, asked with Bearer {key}") from error


def _log_failure(**facts: str) -> None:
    try:
        _fail(PERSON, KEY)
    except ValueError:
        structlog.get_logger().exception("ward.unexpected", **facts)


def test_a_failure_is_told_with_its_place_and_the_ids_of_the_log(told: Sentry) -> None:
    reporter = _reporter(told, sentry_release="ossature@1.2.3")
    with logs.bound(request_id="r-1", tenant_id="t-1"):
        _log_failure(route="/v1/ward/{bed_id}")
    reporter.close()

    (event,) = told.events
    assert event["transaction"] == "/v1/ward/{bed_id}"
    assert event["logger"] == "ward.unexpected"
    assert event["tags"] == {"request_id": "r-1", "tenant_id": "t-1", "route": "/v1/ward/{bed_id}"}
    assert (event["release"], event["environment"]) == ("ossature@1.2.3", "production")
    assert [one["type"] for one in event["exception"]["values"]] == ["KeyError", "ValueError"]
    frame = event["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert frame["function"] == "_fail"
    assert "raise ValueError(" in frame["context_line"]
    assert all(PUBLIC_KEY in one for one in told.signed)


def test_nothing_of_the_person_or_the_key_leaves_the_house(told: Sentry) -> None:
    reporter = _reporter(told)
    _log_failure(route="/v1/ward/{bed_id}", path="/v1/ward/Lovelace", email=PERSON[1], subject="user:ada")
    reporter.close()

    sent = "".join(told.wire)
    assert "ValueError" in sent
    assert [one for one in (*PERSON, KEY, "Lovelace", "user:ada", "no bed for Ada") if one in sent] == []
    assert {name for one in told.events for name in one} <= sentry._KEPT
    assert "vars" not in sent


def test_what_exceptions_say_is_sent_masked_and_only_where_that_is_wanted(told: Sentry) -> None:
    reporter = _reporter(told, sentry_messages=True)
    _log_failure()
    reporter.close()

    said = told.events[0]["exception"]["values"][-1]["value"]
    assert said == "no bed for Ada Lovelace ([email], [phone]), [iban], asked with Bearer [hidden]"
    assert [one for one in (*PERSON[1:], KEY) if one in "".join(told.wire)] == []


def test_lines_below_error_and_lines_without_an_exception_are_not_told(told: Sentry) -> None:
    reporter = _reporter(told)
    log = structlog.get_logger()
    log.error("ward.full", beds=12)
    try:
        _fail(PERSON, KEY)
    except ValueError as error:
        log.warning("ward.tried_again", exc_info=error)
    reporter.close()

    assert told.wire == []


def test_a_failure_of_a_library_is_told_too(told: Sentry) -> None:
    reporter = _reporter(told)
    try:
        _fail(PERSON, KEY)
    except ValueError:
        logging.getLogger("somebody.else").exception("for %s", PERSON[1])
    reporter.close()

    assert told.events[0]["logger"] == "library.said"
    assert PERSON[1] not in "".join(told.wire)


def test_without_a_dsn_nobody_is_told() -> None:
    assert sentry.reporter(ObserveSettings(), logs.masker, environment="production") is None


def test_a_wrong_dsn_is_refused_without_being_shown() -> None:
    wrong = "https://no-key-in-here.example.org/"
    with pytest.raises(Misconfigured) as refused:
        sentry.reporter(ObserveSettings(sentry_dsn=SecretStr(wrong)), logs.masker, environment="production")

    assert "OSSATURE_OBSERVE_SENTRY_DSN" in str(refused.value) or "SENTRY_DSN" in str(refused.value)
    assert wrong not in str(refused.value)
