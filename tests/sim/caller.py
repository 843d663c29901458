"""A caller of the simulator over real connections, that reads every answer whole."""

import http.client
import json
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIME_LIMIT_S = 10.0
CONTACT = {"user-agent": "ossature-tests (someone@example.org)"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """Return the JSON of every event; the terminator as the text `[DONE]`."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().split("\n") if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


class Caller:
    """Asks the simulator over real connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.address = (parts.hostname, parts.port)

    def get(self, path: str, headers: Mapping[str, str] = CONTACT) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, value: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self._ask("POST", path, json.dumps(value).encode(), headers or {})

    def chat(self, provider: str, model: str, text: str = "Hello", **more: Any) -> Answer:
        """Ask the provider's model with its valid key."""
        question = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.post(f"/{provider}/chat/completions", question, {"authorization": f"Bearer sim-{provider}"})

    def order(self, fault: str, provider: str, **more: Any) -> None:
        """Put the fault in force."""
        assert self.post("/_sim/faults", {"provider": provider, "fault": fault, **more}).status == 200

    def reached(self, provider: str) -> int:
        return self.get(f"/_sim/requests?provider={provider}").json()["providers"][provider]["reached"]

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=TIME_LIMIT_S)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            whole = response.read()
            return Answer(response.status, {name.lower(): text for name, text in response.getheaders()}, whole)
        finally:
            connection.close()

    def raw(self, path: str, *, body: bytes = b"", headers: str = "") -> Generator[bytes]:
        """Yield what each read of the socket gives until the other side ends; raises what the socket raises."""
        method = "POST" if body else "GET"
        head = f"{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{headers}content-length: {len(body)}\r\n\r\n"
        with socket.create_connection(self.address, timeout=TIME_LIMIT_S) as connection:
            connection.sendall(head.encode() + body)
            while received := connection.recv(1 << 16):
                yield received
