"""The simulator in a thread, and the hub's engine in front of it: real sockets, a real ledger, no house around it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from ossature.kernel.cache.caches import Caches
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.context import SYSTEM, SYSTEM_TENANT, Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.answer import Usage
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.credentials import PlatformCredentials
from ossature.kernel.outbound.engine import Engine, Parts
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.testing.context import SmallHouse
from ossature.services.hub.ports import CHAT, OPERATIONS
from ossature.services.hub.providers import MODEL_PROVIDERS, PROVIDERS
from ossature.services.hub.settings import HubSettings
from ossature.services.hub.usecases.chat import Chats
from ossature.services.hub.usecases.seating import Seating
from ossature.sim.app import create
from ossature.sim.run import started


@pytest.fixture(scope="session")
def sim_server() -> Iterator[str]:
    """URL of the simulator of every provider."""
    with started(create(seed=1)) as url:
        yield url


class Sim:
    """The simulator as a test sees it: what reached it, and what is to go wrong."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10)

    def fault(self, provider: str, kind: str, **more: Any) -> None:
        """Have a provider misbehave from now on."""
        self._http.post("/_sim/faults", json={"provider": provider, "fault": kind, **more}).raise_for_status()

    def heal(self) -> None:
        """End all misbehaviour."""
        self._http.delete("/_sim/faults").raise_for_status()

    def reached(self, provider: str) -> int:
        """How many requests reached a provider."""
        found = self._http.get("/_sim/requests", params={"provider": provider}).json()
        return int(found["providers"][provider]["reached"])

    def abandoned(self, provider: str) -> int:
        """How many slow streams of a provider were left before their end."""
        return int(
            self._http.get("/_sim/requests", params={"provider": provider}).json()["providers"][provider]["abandoned"]
        )

    def last(self, provider: str) -> Mapping[str, Any]:
        """The newest request that reached a provider."""
        found: Mapping[str, Any] = self._http.get("/_sim/requests", params={"provider": provider, "limit": 1}).json()
        return found["recent"][0]

    def limit(self, **limits: list[str]) -> None:
        """Replace limits of providers."""
        self._http.post("/_sim/limits", json=limits).raise_for_status()

    def reset(self) -> None:
        """Forget everything."""
        self._http.post("/_sim/reset").raise_for_status()


@pytest.fixture
def sim(sim_server: str) -> Sim:
    """The simulator, as it was at its start."""
    found = Sim(sim_server)
    found.reset()
    return found


@dataclass(slots=True)
class Hub:
    """The hub's parts, as the house puts them together."""

    engine: Engine
    chats: Chats
    board: Board
    ledger: SqliteLedger
    database: Database
    used: list[Usage] = field(default_factory=list)

    def ctx(self, request_id: str = "test-request") -> Ctx:
        """A caller who may do everything."""
        return SmallHouse().ctx(self.database.system(), tenant=SYSTEM_TENANT, actor=SYSTEM, request_id=request_id)


ALL_KEYS = tuple(provider.id for provider in PROVIDERS if provider.manifest.auth.need == "required")
OpenHub = Callable[..., AbstractAsyncContextManager[Hub]]


@pytest.fixture
def open_hub(sqlite_url: str, tmp_path: Path, sim: Sim) -> OpenHub:
    """Opens a hub on the simulator. keys: the providers that it has a key of. settings: of `HubSettings`."""

    @asynccontextmanager
    async def open_it(keys: tuple[str, ...] = ALL_KEYS, **settings: Any) -> AsyncIterator[Hub]:
        database = Database(DatabaseSettings(url=sqlite_url))
        ledger = SqliteLedger(Path(sqlite_url.removeprefix("sqlite:///")))
        http = AiohttpClient(OutboundSettings())
        board = Board()
        secrets = {name: SecretStr(f"sim-{name}") for name in keys}
        credentials = PlatformCredentials(secrets, variable_prefix="OSSATURE_HUB_KEY_")
        used: list[Usage] = []
        engine = Engine(
            Parts(
                http=http,
                ledger=ledger,
                board=board,
                caches=Caches(CacheSettings(), var_dir=tmp_path),
                credentials=credentials,
                meter=used.append,
            ),
            providers=PROVIDERS,
            operations=(*OPERATIONS, CHAT),
            around=Surroundings(contact="tests@example.org", sim_url=sim.url),
        )
        seating = Seating(
            engine, MODEL_PROVIDERS, board=board, credentials=credentials, settings=HubSettings(**settings)
        )
        yield Hub(engine, Chats(engine.exchange, seating, board), board, ledger, database, used)
        await http.close()
        await ledger.close()
        await database.close()

    return open_it


@pytest.fixture
async def hub(open_hub: OpenHub) -> AsyncIterator[Hub]:
    """The hub with every key, on the simulator."""
    async with open_hub() as found:
        yield found
