"""Those who watch the product, as they are shipped: a real Prometheus, a real Alertmanager, and who they tell."""

import json
import re
import shutil
import socketserver
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

from tests.conftest import missing
from tests.journeys.product import ANSWER_LIMIT_S, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = tuple(sorted((DEPLOY / "prometheus").glob("*.rules.yml")))
START_LIMIT_S = 90

Ask = Callable[[str], list[dict[str, Any]]]


@contextmanager
def prometheus(
    folder: Path, targets: Mapping[str, int], *, token: str, rules: Sequence[Path], alertmanager: int = 0
) -> Iterator[Ask]:
    """A Prometheus with these rules that reads all targets each second; asks it for the value of an expression."""
    if shutil.which("prometheus") is None:
        missing("prometheus (Debian package prometheus)")
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = list(map(str, rules))
    config["scrape_configs"] = [
        {
            "job_name": name,
            "authorization": {"credentials": token},
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for name, port in targets.items()
    ]
    told = [f"127.0.0.1:{alertmanager}"] if alertmanager else []
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = told
    path = folder / "prometheus.json"
    path.write_text(json.dumps(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def ask(expression: str) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=ANSWER_LIMIT_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return [one for one in found if one["value"][1] != "NaN"]

    with _running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}/-/ready"):
        yield ask


def hurried(folder: Path) -> list[Path]:
    """The shipped rules, with alerts that wait for a second only, and no figure that is computed less often."""
    made = []
    for path in RULES:
        copy = folder / path.name
        copy.write_text(re.sub(r"^(\s+(for|interval):) \w+$", r"\1 1s", path.read_text(), flags=re.MULTILINE))
        made.append(copy)
    return made


@contextmanager
def alertmanager(folder: Path, told: "Told", *, ossature: str, key: str) -> Iterator[int]:
    """An Alertmanager with the shipped routes, which waits for little and tells the receivers of a test; its port."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        missing("alertmanager (Debian package prometheus-alertmanager)")
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    config: dict[str, Any] = yaml.safe_load(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text))
    config["global"] |= {
        "pagerduty_url": f"{told.url}/pagerduty",
        "smtp_smarthost": f"127.0.0.1:{told.smtp_port}",
        "smtp_require_tls": False,
        "smtp_hello": "localhost",
    }
    for receiver in config["receivers"]:
        for webhook in receiver.get("webhook_configs", ()):
            webhook["url"] = webhook["url"].replace("http://ossature:8000", ossature)
    secrets = {
        "pagerduty-key": "r" * 32,
        "slack-url": f"{told.url}/slack",
        "smtp-password": "unused",
        "ossature-key": key,
    }
    for name, value in secrets.items():
        (folder / name).write_text(value)
    path = folder / "alertmanager.json"
    path.write_text(json.dumps(config))
    port = free_port()
    command = [
        str(program),
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with _running(command, folder / "alertmanager.log", f"http://127.0.0.1:{port}/-/ready"):
        yield port


@contextmanager
def _running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        limit = time.monotonic() + START_LIMIT_S
        while not _answers(ready):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < limit, log.read_text()[-3000:]
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_LIMIT_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Told:
    """PagerDuty, Slack and a mail server, as Alertmanager speaks to them; remembers what came."""

    def __init__(self) -> None:
        self.pages: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.mails: list[EmailMessage] = []
        told = self

        class Http(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                (told.pages if self.path.startswith("/pagerduty") else told.messages).append(body)
                # PagerDuty takes an event with 202, Slack says ok.
                self.send_response(202 if self.path.startswith("/pagerduty") else 200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Mail(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 here\r\n")
                while line := self.rfile.readline():
                    verb = line.split()[0].upper() if line.strip() else b""
                    if verb == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        content = b""
                        while (part := self.rfile.readline()) not in {b".\r\n", b""}:
                            content += part
                        told.mails.append(message_from_bytes(content, policy=policy.default))
                    self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                    if verb == b"QUIT":
                        return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Http)
        self._smtp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
        self._smtp.daemon_threads = True
        for server in (self._http, self._smtp):
            threading.Thread(target=server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where PagerDuty and Slack are."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def smtp_port(self) -> int:
        """Where mail is taken."""
        return int(self._smtp.server_address[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._http, self._smtp):
            server.shutdown()
            server.server_close()
