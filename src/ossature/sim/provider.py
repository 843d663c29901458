"""What one simulated upstream is: its paths, where it wants its key, its limits, and how it says no."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from ossature.sim.limits import Limit
from ossature.sim.wire import Refusal, Reply, Request

Handler = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Credential:
    """Where the upstream looks for its key; `name` is a lower-case header or a query parameter."""

    place: Literal["none", "header", "query"]
    name: str = ""
    prefix: str = ""

    def presented(self, request: Request) -> str | None:
        """Return the key the caller sent, or None."""
        if self.place == "header":
            value = request.header(self.name.encode())
            if value is None or not value.startswith(self.prefix):
                return None
            return value.removeprefix(self.prefix)
        return request.query().get(self.name) if self.place == "query" else None


KEYLESS = Credential("none")
BEARER = Credential("header", "authorization", "Bearer ")


def is_valid_key(provider_id: str, key: str) -> bool:
    """Whether the key is `sim-<provider>`, or `sim-<provider>-<label>`: a second account with windows of its own."""
    return key == f"sim-{provider_id}" or key.startswith(f"sim-{provider_id}-")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the upstream.

    path: below the provider; `{name}` stands for one segment, or a part of it.
    operation: the name that faults and counts use; a function where one path serves several operations.
    vital: the field without which the answer is useless, as a dotted path (`*` = every item of a list; an attribute
    name in XML): what the faults `missing_field` and `wrong_type` spoil. vital_in_stream: the same in each event.
    """

    method: str
    path: str
    operation: str | Callable[[Request], str]
    handler: Handler
    _: KW_ONLY
    vital: str
    vital_in_stream: str = ""

    def operation_of(self, request: Request) -> str:
        """Return the name of the operation that the request asks for."""
        return self.operation if isinstance(self.operation, str) else self.operation(request)


class State(Protocol):
    """What an upstream remembers between requests; `Request.state` for its handlers, shown and changed under `/_sim`."""

    def show(self, what: str) -> Any:  # noqa: ANN401 - JSON
        """Return a part of it as JSON values; None when there is no such part."""

    def order(self, what: str, order: Mapping[str, Any], now: datetime) -> None:
        """Change a part of it. Raises: ValueError, saying what is wrong."""

    def dump(self) -> Mapping[str, Any]:
        """Return what outlives the process, as JSON values."""

    def load(self, kept: Mapping[str, Any], now: datetime) -> None:
        """Take in what `dump` gave. Raises: ValueError."""


ONE_REQUEST: Mapping[str, int] = {"requests": 1}


def one_request(_: Request) -> Mapping[str, int]:
    """Return the units of an upstream that only counts requests."""
    return ONE_REQUEST


def names_a_contact(user_agent: str | None) -> bool:
    """Whether the User-Agent names somebody who can be reached: an address or a site."""
    return user_agent is not None and ("@" in user_agent or "://" in user_agent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One simulated upstream.

    refuse: its words for every reason to say no. error_in_200: what it says when it fails with status 200.
    error_event: what it writes into a stream that fails after it began. units: what a request costs that is known
    before it is answered. needs_contact: its usage policy wants a User-Agent with a contact. new_state: makes what it
    remembers, at the start and after each reset.
    """

    id: str
    routes: tuple[Route, ...]
    refuse: Callable[[Refusal], Reply]
    error_in_200: Callable[[], Reply]
    error_event: bytes = b""
    credential: Credential = KEYLESS
    limits: tuple[Limit, ...] = ()
    units: Callable[[Request], Mapping[str, int]] = one_request
    needs_contact: bool = False
    new_state: Callable[[], State] | None = None
