"""The shipped nginx configuration in front of a real product: what a caller on the other side of it sees."""

import http.client
import json
import re
import ssl
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.deploy.proxied import Front, free_port, proxy
from tests.journeys.product import Product

pytestmark = pytest.mark.journey

HSTS = "max-age=63072000; includeSubDomains"
GAP_MS = 200
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, Product]]:
    """The proxy, and the product behind it, which is told its public address."""
    folder = tmp_path_factory.mktemp("proxied")
    product = Product(folder, {"OSSATURE_HUB_KEY_OPENAI": "sim-openai"}, ("--demo",))
    with proxy(folder / "nginx", behind=product.port) as front:
        product.environment["OSSATURE_PUBLIC_URL"] = f"https://{front.address}"
        with product:
            yield front, product


@pytest.fixture
def front(house: tuple[Front, Product]) -> Front:
    return house[0]


@pytest.fixture
def key(house: tuple[Front, Product]) -> dict[str, str]:
    """Headers of the administrator."""
    return {"Authorization": f"Bearer {house[1].key}", "Content-Type": "application/json"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_spoken(front: Front, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cadata=(front.folder / "tls" / "fullchain.pem").read_text())
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])

    connection = http.client.HTTPSConnection("127.0.0.1", front.secure, context=context, timeout=10)
    connection.connect()

    assert isinstance(connection.sock, ssl.SSLSocket)
    assert connection.sock.version() == version.name.replace("_", ".")
    assert connection.sock.selected_alpn_protocol() == "h2"
    connection.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_of_yesterday_is_refused_by_the_proxy(front: Front) -> None:
    context = ssl.create_default_context(cadata=(front.folder / "tls" / "fullchain.pem").read_text())
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    # An alert comes from the other side: it is not our own library that refuses.
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        http.client.HTTPSConnection("127.0.0.1", front.secure, context=context, timeout=10).connect()


def test_plain_http_is_sent_to_https_with_its_method(front: Front) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.plain, timeout=10)
    connection.request("POST", "/v1/auth/login?next=a", b"{}")
    answer = connection.getresponse()

    assert answer.status == 308
    assert answer.headers["Location"] == "https://127.0.0.1/v1/auth/login?next=a"
    connection.close()


def test_proofs_for_a_certificate_authority_are_served_without_tls(front: Front) -> None:
    challenge = front.folder / "acme" / ".well-known" / "acme-challenge" / "token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("proof")

    with urllib.request.urlopen(f"http://127.0.0.1:{front.plain}/.well-known/acme-challenge/token") as answer:
        assert answer.read() == b"proof"


def test_every_answer_says_once_that_it_is_https_only(front: Front, key: dict[str, str]) -> None:
    for path, wanted in (("/ready", 200), ("/v1/auth/me", 200), ("/v1/nothing", 404), ("/docs", 200)):
        status, headers, _ = front.ask("GET", path, headers=key, caller="127.0.0.10")

        assert status == wanted, path
        assert headers.get_all("Strict-Transport-Security") == [HSTS], path
        assert headers.get_all("X-Content-Type-Options") == ["nosniff"], path
        assert headers["Server"] in {None, "nginx"}, path


def test_a_body_of_more_than_50_mib_is_refused_before_it_is_sent(front: Front, key: dict[str, str]) -> None:
    connection = front.connection()
    connection.putrequest("POST", "/v1/auth/keys")
    connection.putheader("Content-Length", str(50 * MIB + 1))
    connection.putheader("Authorization", key["Authorization"])
    connection.endheaders()
    answer = connection.getresponse()

    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Strict-Transport-Security"] == HSTS
    assert json.loads(answer.read()) == {"type": "about:blank", "title": "Content too large", "status": 413}
    connection.close()


@pytest.mark.parametrize(
    ("request_", "status", "title"),
    [
        (b"GET /v1/%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 20_000), 414, "URI too long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\n\r\n" % (b"a" * 20_000), 400, "Bad request"),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Method not allowed"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "Not implemented"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Bad request"),
        (b"no request at all\r\n\r\n", 400, "Bad request"),
    ],
    ids=["long address", "long header", "method", "transfer encoding", "two hosts", "no request"],
)
def test_whatever_the_proxy_itself_refuses_is_a_problem(front: Front, request_: bytes, status: int, title: str) -> None:
    connection = front.connection(caller="127.0.0.12")
    connection.connect()
    connection.send(request_)
    answer = http.client.HTTPResponse(connection.sock, method="GET")
    answer.begin()

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert json.loads(answer.read()) == {"type": "about:blank", "title": title, "status": status}
    assert answer.headers["Strict-Transport-Security"] == HSTS
    connection.close()


def test_a_large_body_below_the_limit_reaches_the_product(front: Front, key: dict[str, str]) -> None:
    body = json.dumps({"name": "n" * (2 * MIB), "roles": ["viewer"]}).encode()

    status, _, answer = front.ask("POST", "/v1/auth/keys", body=body, headers=key, caller="127.0.0.11")

    assert status == 422
    assert json.loads(answer)["errors"][0]["pointer"] == "/name"


@pytest.mark.parametrize("path", ["/v1/auth/me", "/api/v1/auth/me", "/v1/%61uth/me"])
def test_sign_in_is_limited_to_ten_a_second_under_every_name(front: Front, path: str) -> None:
    caller = f"127.0.1.{len(path)}"
    passed, refused, took_s = _hurry(front, path, caller=caller, requests=80)

    assert refused, passed
    assert 20 <= passed <= 21 + 10 * took_s + 1


def test_any_path_is_limited_to_a_hundred_a_second(front: Front) -> None:
    front.ask("GET", "/redoc", caller="127.0.2.1")
    passed, refused, took_s = _hurry(front, "/redoc", caller="127.0.2.2", requests=900)

    assert refused, passed
    assert 200 <= passed <= 201 + 100 * took_s + 1
    # One caller's haste is nobody else's.
    assert front.ask("GET", "/redoc", caller="127.0.2.3")[0] == 200


def _hurry(front: Front, path: str, *, caller: str, requests: int) -> tuple[int, int, float]:
    """How many of so many requests the proxy let through and refused, and how long they took in seconds."""
    found: Counter[bool] = Counter()
    connection = front.connection(caller=caller)
    began_s = time.monotonic()
    for _ in range(requests):
        connection.request("GET", path)
        answer = connection.getresponse()
        refused = b'"about:blank"' in answer.read() and answer.status == 429
        if refused:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Content-Type"] == "application/problem+json"
        found[refused] += 1
    took_s = time.monotonic() - began_s
    connection.close()
    return found[False], found[True], took_s


def test_a_chat_arrives_word_by_word(house: tuple[Front, Product], key: dict[str, str]) -> None:
    front, product = house
    simulator = re.search(r"simulated at (http://\S+?)\.?$", (product.folder / "product.log").read_text(), re.MULTILINE)
    assert simulator
    order = json.dumps({"provider": "openai", "fault": "slow", "ms": 0, "gap_ms": GAP_MS}).encode()
    request = urllib.request.Request(f"{simulator[1]}/_sim/faults", order, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()
    question = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "Say a few words about the sea."}],
        "stream": True,
    }

    connection = front.connection(caller="127.0.0.12")
    connection.request("POST", "/v1/chat/completions", json.dumps(question), key)
    answer = connection.getresponse()
    assert answer.status == 200
    came_s = [time.monotonic() for line in answer if line.startswith(b"data: ")]
    connection.close()

    assert len(came_s) > 3
    assert came_s[-1] - came_s[0] > GAP_MS / 1000 * (len(came_s) - 3)


def test_server_sent_events_are_not_gathered(front: Front, key: dict[str, str]) -> None:
    connection = front.connection(caller="127.0.0.13", time_limit_s=10)
    connection.request("GET", "/v1/live/events", headers=key)
    answer = connection.getresponse()
    lines: list[str] = []
    while not lines or lines[-1].strip():
        lines.append(answer.readline().decode())
    connection.close()

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert any('"heartbeat"' in line for line in lines), lines


def test_a_websocket_goes_through(front: Front, house: tuple[Front, Product]) -> None:
    origin, protocol = Origin(f"https://{front.address}"), Subprotocol("ossature.live.v1")
    with connect(f"wss://{front.address}/v1/live", ssl=front.trusted, subprotocols=[protocol], origin=origin) as socket:
        socket.send(json.dumps({"type": "hello", "token": house[1].key, "topics": []}))
        said = json.loads(socket.recv(timeout=10))

    assert said["type"] == "heartbeat"


def test_the_product_learns_the_callers_own_address_and_believes_no_other(front: Front, key: dict[str, str]) -> None:
    invented = {**key, "X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7"}
    body = json.dumps({"name": "from afar", "roles": ["viewer"]}).encode()

    status, _, made = front.ask("POST", "/v1/auth/keys", body=body, headers=invented, caller="127.0.0.14")
    assert status == 201, made
    _, _, trail = front.ask("GET", "/v1/audit?limit=20", headers=key, caller="127.0.0.15")

    about = [entry for entry in json.loads(trail)["items"] if json.loads(made)["key"]["id"] in json.dumps(entry)]
    assert [entry["ip"] for entry in about] == ["127.0.0.14"]


def test_public_answers_are_kept_and_personal_ones_are_not(front: Front, key: dict[str, str]) -> None:
    for headers in ({}, {}, key):
        assert front.ask("GET", "/reference", headers=headers, caller="127.0.0.16")[0] == 200
        assert front.ask("GET", "/v1/auth/me", headers=headers, caller="127.0.0.16")[0] in {200, 401}

    assert [entry["cache"] for entry in front.logged("/reference")] == ["MISS", "HIT", "BYPASS"]
    mine = [entry["cache"] for entry in front.logged("/v1/auth/me") if entry["ip"] == "127.0.0.16"]
    assert mine == ["", "", ""]


def test_files_of_the_console_are_kept(front: Front) -> None:
    page = front.ask("GET", "/console/sign-in", caller="127.0.0.17")[2].decode()
    asset = re.search(r"/console/_assets/[^\"']+\.css", page)
    assert asset, page[:500]

    for _ in range(2):
        status, headers, _ = front.ask("GET", asset[0], caller="127.0.0.17")
        assert status == 200
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"

    assert [entry["cache"] for entry in front.logged(asset[0])] == ["MISS", "HIT"]


def test_a_product_that_is_away_is_a_problem_with_a_time_to_come_back(tmp_path: Path) -> None:
    with proxy(tmp_path, behind=free_port()) as front:
        status, headers, body = front.ask("GET", "/v1/auth/me")

    assert status == 503
    assert headers["Retry-After"] == "2"
    assert headers["Strict-Transport-Security"] == HSTS
    assert json.loads(body)["title"] == "Service unavailable"
