"""kill -9 at any moment, restart: nothing is lost and nothing doubled."""

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from ossature.sim.app import create
from ossature.sim.run import started
from tests.journeys.product import Product, Receiver

KILLS = 4
KEYS = 40


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def _persist(product: Product, method: str, path: str, body: object, key: str) -> tuple[int, dict[str, object]]:
    """Send a request again and again, under one Idempotency-Key, until it is answered."""
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        try:
            status, answer = product.ask(method, path, body, {"Idempotency-Key": key})
        except OSError:
            time.sleep(0.05)
            continue
        if status in {409, 503} and answer["title"] in {"Request in progress", "Database busy"}:
            time.sleep(0.2)
            continue
        return status, answer
    pytest.fail(f"{method} {path} was never answered")


@pytest.mark.journey
def test_killed_at_random_moments_it_loses_and_doubles_nothing(tmp_path: Path, receiver: Receiver) -> None:
    rng = random.Random(7)
    with started(create(seed=1)) as sim_url:
        environment = {
            "OSSATURE_HUB_SIM_URL": sim_url,
            "OSSATURE_OUTBOUND_PRIVATE_HOSTS": receiver.host,
            "OSSATURE_HTTP_IDEMPOTENCY_LEASE_S": "1",
            "OSSATURE_JOBS_LEASE_S": "2",
            "OSSATURE_QUOTAS_ENABLED": "false",  # forty keys a minute are more than the house lets one caller make
        }
        with Product(tmp_path, environment) as product:
            status, endpoint = product.ask("POST", "/v1/webhooks", {"url": receiver.url, "events": ["key.revoked"]})
            assert status == 201, endpoint
            done: dict[str, str] = {}

            def customer() -> None:
                for number in range(KEYS):
                    name = f"key {number}"
                    status, made = _persist(product, "POST", "/v1/auth/keys", {"name": name}, f"make-{number}")
                    assert status == 201, made
                    done[name] = str(made["key"]["id"])
                    _weather(product, number)

            thread = threading.Thread(target=customer)
            thread.start()
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.4, 1.6))
                product.kill()
                product.start()
            thread.join(600)
            assert not thread.is_alive()

            names = [item["name"] for item in _all(product, "/v1/auth/keys?limit=200") if item["name"] in done]
            assert len(done) == KEYS, "the customer was served to the end"
            assert sorted(names) == sorted(done), "every key exists exactly once"

            for key_id in done.values():
                assert product.ask("DELETE", f"/v1/auth/keys/{key_id}")[0] in {200, 409}
            product.kill()
            product.start()
            events = _awaited(receiver, set(done.values()), endpoint["secret"])
            assert set(events) == set(done.values()), "every fact arrived"
            assert all(len(ids) == 1 for ids in events.values()), "a fact has one webhook-id, however often it came"

            assert product.ask("GET", "/v1/audit/verify")[1]["intact"] is True
            assert product.stop() == 0


def _weather(product: Product, number: int) -> None:
    """A question to the outside, asked until it is answered; it must not matter how often."""
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        try:
            path = f"/v1/hub/weather/current?latitude={number}&longitude=6&cache=refresh"
            if product.ask("GET", path)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail("the weather was never told")


def _all(product: Product, path: str) -> list[dict[str, object]]:
    status, page = product.ask("GET", path)
    assert status == 200, page
    items: list[dict[str, object]] = page["items"]
    return items


def _awaited(receiver: Receiver, wanted: set[str], secret: str) -> dict[str, set[str]]:
    """The `webhook-id`s by key, once all came; each message is verified by an independent library."""
    verifier = Webhook(secret)
    limit = time.monotonic() + 180
    found: dict[str, set[str]] = {}
    while time.monotonic() < limit and set(found) != wanted:
        found = {}
        for headers, body in list(receiver.received):
            message = verifier.verify(body, headers)
            assert json.loads(body) == message
            found.setdefault(str(message["data"]["key_id"]), set()).add(headers["webhook-id"])
        time.sleep(0.2)
    return found
