"""The shipped proxy as an operator runs it: only site.conf is adapted, line by line, and every line must have been there."""

import datetime as dt
import http.client
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import missing

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"
START_LIMIT_S = 20
# What the package of a distribution writes: the folders of one machine, and that conf.d is read.
_MAIN = """\
{user}daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    include conf.d/*.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Front:
    """A running proxy. host: one of the loopback addresses, so that callers can have different ones."""

    folder: Path
    plain: int
    secure: int
    trusted: ssl.SSLContext

    @property
    def address(self) -> str:
        """What a browser shows."""
        return f"127.0.0.1:{self.secure}"

    def connection(self, *, caller: str = "127.0.0.1", time_limit_s: float = 30) -> http.client.HTTPSConnection:
        """A connection with TLS from this loopback address."""
        return http.client.HTTPSConnection(
            "127.0.0.1", self.secure, timeout=time_limit_s, context=self.trusted, source_address=(caller, 0)
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        caller: str = "127.0.0.1",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body of one request."""
        connection = self.connection(caller=caller)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def logged(self, path: str) -> list[dict[str, Any]]:
        """The lines of the access log about a path."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["path"] == path]


@contextmanager
def proxy(folder: Path, *, behind: int) -> Iterator[Front]:
    """The shipped configuration in front of a product on this port, with a certificate of its own."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        missing("nginx")
    assert program is not None
    plain, secure = free_port(), free_port()
    for name in ("tls", "temp", "acme", "cache"):
        (folder / name).mkdir(parents=True)
    trusted = _certificate(folder / "tls")
    shutil.copytree(SHIPPED, folder / "conf.d")
    (folder / "conf.d" / "site.conf").write_text(_adapted(folder, behind=behind, plain=plain, secure=secure))
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(user=user, folder=folder))
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(secure)
        yield Front(folder, plain, secure, trusted)
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _adapted(folder: Path, *, behind: int, plain: int, secure: int) -> str:
    text = (SHIPPED / "site.conf").read_text()
    for shipped, here in {
        "server api:8000 ": f"server 127.0.0.1:{behind} ",
        "server console:8000;": f"server 127.0.0.1:{behind};",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{secure} ssl http2;",
        "/etc/nginx/tls/fullchain.pem": f"{folder}/tls/fullchain.pem",
        "/etc/nginx/tls/privkey.pem": f"{folder}/tls/privkey.pem",
        "/var/cache/nginx/ossature": f"{folder}/cache",
        "/var/www/acme": f"{folder}/acme",
        "/dev/stdout": f"{folder}/access.log",
    }.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    return text


def _certificate(folder: Path) -> ssl.SSLContext:
    """Write a certificate for the loopback address; what a client needs to believe it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ossature test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "fullchain.pem").write_bytes(pem)
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ssl.create_default_context(cadata=pem.decode())


def _await(port: int) -> None:
    limit_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nginx does not listen on {port}")
