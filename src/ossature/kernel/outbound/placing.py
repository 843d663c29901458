"""A provider's call as a complete HTTP request: base URL, query, body, credential, limits."""

import base64
import json
import re
import secrets as random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import orjson

from ossature.kernel.outbound.credentials import Credential
from ossature.kernel.outbound.http import HttpRequest
from ossature.kernel.outbound.manifest import Auth, Manifest, TimeLimits
from ossature.kernel.outbound.policy import PolicyName
from ossature.kernel.outbound.provider import Call, Part, Scalar

_JSON = "application/json"
_LEAST_SECRET_LENGTH = 4
_URL_LETTERS = "%:/?#[]@!$&'()*+,;=~"
_PLAIN_URL = re.compile(r"[A-Za-z0-9._:/?#@=&%~-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an installation adds to every call.

    contact: who answers for our traffic. sim_url: the simulator that stands in for every provider. private_hosts:
    hosts that may lie in private networks. time_limit_s: of all attempts of one question together, where neither the
    caller nor the operation says. policy: how candidates are ordered when the caller does not say. off: providers that an operator switched off, with the reason; it may change
    while we run.
    """

    contact: str = ""
    sim_url: str = ""
    private_hosts: frozenset[str] = frozenset()
    time_limit_s: float = 20.0
    policy: PolicyName = "free_first"
    user_agent: str = "ossature"
    max_body_bytes: int = 10 * 1024 * 1024
    max_media_bytes: int = 200 * 1024 * 1024
    off: Mapping[str, str] = field(default_factory=dict, hash=False)


def place(
    call: Call,
    manifest: Manifest,
    credential: Credential,
    around: Surroundings,
    *,
    token: str = "",
    limits: TimeLimits | None = None,
    to_file: Path | None = None,
) -> HttpRequest:
    """The request to send. token: of the OAuth2 client, where the provider wants one."""
    secrets = {} if call.no_auth else credential.secrets
    auth = manifest.auth
    secret_headers, secret_query, secret_fields = _placed(auth, secrets, token) if secrets else ({}, {}, {})
    headers = {"Accept": _JSON, "User-Agent": _user_agent(manifest, around), **call.headers, **secret_headers}
    query = [*_pairs(call.query), *secret_query.items()]
    url, hosts, private = _address(call, manifest, around, secrets if auth.kind == "path" else {})
    if not _PLAIN_URL.fullmatch(url):  # a blank, a line end or an umlaut in a path cannot break the request
        url = quote(url, safe=_URL_LETTERS)
    body, content_type = _body(call, secret_fields)
    if content_type:
        headers.setdefault("Content-Type", content_type)
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote, safe=",:")
    media = call.to_file and to_file is not None
    return HttpRequest(
        method=call.method,
        url=url,
        hosts=hosts,
        headers=headers,
        body=body,
        limits=limits or manifest.time_limits,
        max_body_bytes=around.max_media_bytes if media else manifest.max_body_bytes or around.max_body_bytes,
        private=private,
        secret_headers=frozenset(name.lower() for name in auth.place) if auth.kind == "header" else frozenset(),
        to_file=to_file if media else None,
    )


_Places = tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]]


def _placed(auth: Auth, secrets: Mapping[str, str], token: str) -> _Places:
    """The headers, query parameters and body fields that carry the secrets."""
    filled = {name: template.format_map(secrets) for name, template in auth.place.items()}
    match auth.kind:
        case "header":
            return filled, {}, {}
        case "query":
            return {}, filled, {}
        case "body":
            return {}, {}, filled
        case "basic":
            pair = f"{filled['user']}:{filled['password']}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}, {}, {}
        case "oauth_cc":
            return {"Authorization": f"Bearer {token}"}, {}, {}
    return {}, {}, {}  # `path`: they stand in the address


def redacted(text: str, credential: Credential) -> str:
    """A text without the secrets of a credential, as they are or as they stand in an address."""
    for secret in credential.secrets.values():
        if len(secret) >= _LEAST_SECRET_LENGTH:
            for form in _forms(secret):
                text = text.replace(form, "***")
    return text


@lru_cache(maxsize=1024)
def _forms(secret: str) -> tuple[str, ...]:
    """How a secret may be written: as it is, in a path, in a query (`place`), in a form, and in full."""
    written = {secret, quote(secret, safe=":"), quote(secret, safe=",:"), quote_plus(secret), quote(secret, safe="")}
    return tuple(sorted(written, key=len, reverse=True))


def _user_agent(manifest: Manifest, around: Surroundings) -> str:
    if manifest.user_agent:
        return manifest.user_agent
    return f"{around.user_agent} ({around.contact})" if around.contact else around.user_agent


def _address(
    call: Call, manifest: Manifest, around: Surroundings, secrets: Mapping[str, str]
) -> tuple[str, frozenset[str], bool]:
    """Address, hosts that it and its redirects may go to, and whether these may be private."""
    path = call.path
    if path.startswith(manifest.base_url.rstrip("/") + "/"):
        path = path.removeprefix(manifest.base_url.rstrip("/"))
    absolute = path.startswith(("https://", "http://"))
    if around.sim_url:
        parts = urlsplit(path)
        below = f"{parts.path}?{parts.query}" if parts.query else parts.path
        url = f"{around.sim_url.rstrip('/')}/{manifest.id}{below if absolute else path}"
        hosts, private = frozenset({urlsplit(around.sim_url).netloc.lower()}), True
    else:
        url = path if absolute else manifest.base_url.rstrip("/") + path
        hosts = manifest.allowed_hosts
        parts = urlsplit(url)
        private = manifest.private or not around.private_hosts.isdisjoint({parts.hostname or "", parts.netloc.lower()})
    for name, secret in secrets.items():
        url = url.replace(f"{{{name}}}", quote(secret, safe=":"))
    return url, hosts, private


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _pairs(query: Mapping[str, Scalar | Sequence[Scalar]]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield from ((name, _scalar(each)) for each in value if each is not None)
        else:
            yield name, _scalar(value)


def _body(call: Call, secrets: Mapping[str, str]) -> tuple[bytes, str]:
    """The body's bytes and their type; secrets that go into the body are added to its fields."""
    if call.parts:
        return _multipart((*call.parts, *(Part(name=name, content=value) for name, value in secrets.items())))
    if call.form is not None:
        return urlencode([*_pairs(call.form), *secrets.items()]).encode(), "application/x-www-form-urlencoded"
    if call.body:
        return call.body, ""
    if call.json is not None or secrets:
        content = {**(call.json or {}), **secrets} if secrets else call.json
        return _json(content), _JSON
    return b"", ""


def _json(content: Any) -> bytes:  # noqa: ANN401 - any JSON value
    try:
        return orjson.dumps(content)
    except TypeError:  # integers beyond 64 bits
        return json.dumps(content, separators=(",", ":")).encode()


def _multipart(parts: Sequence[Part]) -> tuple[bytes, str]:
    boundary = random.token_hex(16)
    lines: list[bytes] = []
    for part in parts:
        disposition = f'form-data; name="{_quotable(part.name)}"'
        if part.filename:
            disposition += f'; filename="{_quotable(part.filename)}"'
        lines.append(f"--{boundary}\r\nContent-Disposition: {disposition}\r\n".encode())
        if part.content_type:
            lines.append(f"Content-Type: {part.content_type}\r\n".encode())
        content = part.content.encode() if isinstance(part.content, str) else part.content
        lines += [b"\r\n", content, b"\r\n"]
    lines.append(f"--{boundary}--\r\n".encode())
    return b"".join(lines), f"multipart/form-data; boundary={boundary}"


def _quotable(name: str) -> str:
    return name.replace("\r", "").replace("\n", "").replace('"', "%22")
