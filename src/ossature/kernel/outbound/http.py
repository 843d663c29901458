"""The port to HTTP: what is to be sent, what came back, and how surely anything was sent at all.

`aiohttp_client.py` keeps this promise today; another client may, if it keeps all of it: pooled connections, a time
limit per phase, TLS verification, address checks at connect, size limits, cancellation.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ossature.kernel.db.transaction import writing
from ossature.kernel.errors import Problem
from ossature.kernel.outbound.manifest import TimeLimits
from ossature.kernel.outbound.provider import ErrorKind, Refusal, Reply

DEFAULT_MAX_BODY_BYTES = 10 * 1024 * 1024


class Outcome(StrEnum):
    """How surely an attempt reached the other side.

    not_sent: proved that nothing of it was; ambiguous: it may have had its effect; answered: it has.
    """

    NOT_SENT = "not_sent"
    AMBIGUOUS = "ambiguous"
    ANSWERED = "answered"


class Undelivered(Refusal):
    """No usable answer came; `outcome` says whether the call may have had its effect all the same."""

    def __init__(self, kind: ErrorKind, outcome: Outcome, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.outcome = outcome


class SentWhileWriting(Problem):
    """A write transaction was open when a call to the outside was to be sent; commit first, or use `ctx.db.step()`."""

    title = "Sent while writing"


def refuse_while_writing() -> None:
    """A call to the outside would hold the database's only writer, and would wait for its own ledger.

    Raises: SentWhileWriting.
    """
    if writing.get():
        raise SentWhileWriting("A write transaction is open; nothing is sent to the outside meanwhile.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, complete: nothing is added to it but `Host`, `Content-Length` and `Accept-Encoding`.

    hosts: where it and its redirects may go. private: these hosts may lie in private networks. secret_headers: names,
    lower case, that a redirect to another host does not take along. to_file: where the body is to be written.
    """

    method: str
    url: str
    hosts: frozenset[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    limits: TimeLimits = field(default_factory=TimeLimits)
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    private: bool = False
    secret_headers: frozenset[str] = frozenset()
    to_file: Path | None = None


class HttpStream(Protocol):
    """A reply whose body comes piece by piece, as fast as it is read (back-pressure reaches the sender)."""

    @property
    def head(self) -> Reply:
        """Status, headers and address; no body."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises: Undelivered when it stops early, or is silent for longer than `idle_s`."""


class Http(Protocol):
    """The way to send HTTP requests. Both methods raise Undelivered, AddressRefused, and SentWhileWriting."""

    async def send(self, request: HttpRequest, /) -> Reply:
        """The whole reply, of whatever status."""

    def stream(self, request: HttpRequest, /) -> AbstractAsyncContextManager[HttpStream]:
        """The reply's head at once and its body as it comes. Leaving the block early cancels the rest."""

    async def close(self) -> None:
        """Give all connections back."""
