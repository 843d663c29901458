"""A stand-in for a Vault, as its API documents say it speaks: KV version 2 with check-and-set, and AppRole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ROOT, ROLE, SECRET_ID = "s.root", "role-1", "secret-1"


@dataclass
class Vault:
    """What it keeps, and what it was asked. sealed: it answers 503, as one that was restarted and not opened yet."""

    url: str = ""
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {ROOT})
    asked: list[str] = field(default_factory=list)
    sealed: bool = False

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        return self._unsealed(method, path, token, body)

    def _unsealed(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        if (method, path) == ("POST", "/v1/auth/approle/login"):
            if body != {"role_id": ROLE, "secret_id": SECRET_ID}:
                return 400, {"errors": ["invalid role or secret ID"]}
            self.tokens.add("s.of-role")
            return 200, {"auth": {"client_token": "s.of-role", "lease_duration": 1200, "renewable": True}}
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        return self._kept(method, path.removeprefix("/v1/secret/data/"), body)

    def _kept(self, method: str, name: str, body: Any) -> tuple[int, Any]:
        version = self.versions.get(name, 0)
        if method == "GET":
            if not version:
                return 404, {"errors": []}
            return 200, {"data": {"data": self.kept[name], "metadata": {"version": version, "destroyed": False}}}
        if body.get("options", {}).get("cas", version) != version:
            return 400, {"errors": ["check-and-set parameter did not match the current version"]}
        self.kept[name], self.versions[name] = body["data"], version + 1
        return 200, {"data": {"version": version + 1}}


@contextmanager
def open_vault() -> Iterator[Vault]:
    """A Vault at an address of its own, until the block ends."""
    vault = Vault()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            path = self.path.partition("?")[0]
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
            vault.asked.append(f"{self.command} {path}")
            status, said = vault.answer(self.command, path, self.headers.get("x-vault-token", ""), body)
            sent = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - names of http.server

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        vault.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield vault
        server.shutdown()
        thread.join()
