"""A simulated N2F beside a test: a clock that both sides share, the simulator's own books, pipelines for its collections."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from ossature.services.sync.domain.values import Connection
from ossature.services.sync.settings import SyncSettings
from ossature.sim.app import Simulator, create
from ossature.sim.clock import Clock as SimClock
from ossature.sim.expenses.n2f_books import Books
from ossature.sim.faults import Fault
from ossature.sim.run import started

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
"""Twelve o'clock in Paris, on a Monday."""

USERS = """
schema = "ossature.sync/1"
name = "users"
key = ["mail"]
[source]
connection = "files"
path = "users.csv"
[map]
mail = { column = "Mail", strip = true, lower = true }
firstname = { column = "First", strip = true }
lastname = { column = "Last", strip = true }
company = { lookup = "companies", from = "Company", by = "code", give = "uuid" }
role = { lookup = "roles", from = "Role", by = "label", give = "written", default = "Utilisateur" }
jobTitle = { column = "Job", strip = true }
canRaiseLimits = { bool = "Raise" }
[compare]
mail = { rule = "ci" }
firstname = { rule = "trim" }
lastname = { rule = "trim" }
jobTitle = { rule = ["trim", "null_as_empty"] }
canRaiseLimits = { rule = "bool" }
[target]
connection = "n2f"
collection = "users"
"""
PROJECTS = """
schema = "ossature.sync/1"
name = "projects"
key = ["company", "code"]
[source]
connection = "files"
path = "axes.csv"
[map]
company = { lookup = "companies", from = "Company", by = "code", give = "uuid" }
code = { column = "Code", strip = true }
names = { names = { fr = "Name", nl = "Name" } }
validityDateFrom = { date = "From", day_first = true }
validityDateTo = { date = "To", day_first = true, never = "2099-12-31" }
[compare]
names = { rule = "names", cultures = ["fr", "nl"] }
validityDateFrom = { rule = "day", tz = "UTC" }
validityDateTo = { rule = "day", tz = "UTC" }
[target]
connection = "n2f"
collection = "axis"
params = { axis = "projects" }
"""
USERS_HEADER = "Mail,First,Last,Company,Role,Job,Raise"
AXES_HEADER = "Company,Code,Name,From,To"


class SharedClock:
    """The house's clock that jumps instead of waiting, and takes the simulator's along."""

    def __init__(self, sim: SimClock, at: datetime = NOON) -> None:
        self._sim = sim
        self._now = at
        self.slept_s = 0.0
        sim.set(at)

    def now(self) -> datetime:
        """Where both stand."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move both on."""
        self.slept_s += seconds
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move both on; back with a negative number."""
        self._now += timedelta(seconds=seconds)
        self._sim.set(self._now)


class Expenses:
    """The simulated N2F, as a test sees it."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self._simulator = simulator
        self.url = url

    @property
    def books(self) -> Books:
        """What it remembers."""
        books = self._simulator.lab.sites["n2f"].state
        assert isinstance(books, Books)
        return books

    @property
    def clock(self) -> SimClock:
        """Its clock."""
        return self._simulator.lab.clock

    def turn(self, **knobs: Any) -> None:
        """Turn knobs."""
        self.books.knobs = self.books.knobs.turned(knobs)

    def break_(self, fault: str, **more: Any) -> None:
        """Put a fault in force."""
        self._simulator.lab.faults.add([Fault.parse({"provider": "n2f", "fault": fault, **more}, providers=["n2f"])])

    def mend(self) -> None:
        """End all faults."""
        self._simulator.lab.faults.replace(())

    def reset(self) -> None:
        """Back to the beginning."""
        self._simulator.lab.reset()

    @property
    def users(self) -> dict[str, dict[str, Any]]:
        """The users that it holds, by mail."""
        return {mail: entry.value for mail, entry in self.books.users.items() if entry.value is not None}

    def values(self, axis: str = "projects", company: int = 0) -> dict[str, dict[str, Any]]:
        """The values of an axis, by code."""
        uuid = self.books.companies[company]["uuid"]
        entries = self.books.values.get(f"{uuid}/{axis}", {})
        return {code: entry.value for code, entry in entries.items() if entry.value is not None}

    def calls(self, kind: str) -> int:
        """How many calls of a kind it counted: `read` or `write`; the latter includes those for tokens."""
        return self.books.counts[f"{kind}_calls"]

    @property
    def writes(self) -> int:
        """How many records were created, changed or deleted."""
        counts = self.books.counts
        return counts["writes_created"] + counts["writes_changed"] + counts["writes_deleted"]


@contextmanager
def simulated_n2f() -> Iterator[Expenses]:
    """A simulator while the block runs."""
    simulator = create(clock=SimClock(step=True))
    with started(simulator) as url:
        yield Expenses(simulator, url)


def n2f_settings(url: str, **more: Any) -> SyncSettings:
    """Settings of sync that ask the simulator, with the credentials that it knows."""
    secrets = {"n2f_client_id": SecretStr("sim-n2f"), "n2f_client_secret": SecretStr("sim-secret")}
    return SyncSettings(sim_url=url, secrets=secrets, **more)


def n2f_connection(**public: Any) -> Connection:
    """The connection `n2f`."""
    secrets = {"client_id": "n2f_client_id", "client_secret": "n2f_client_secret"}
    return Connection(name="n2f", kind="n2f", public=public, secrets=secrets)
