"""The hub in a whole house behind a real socket, in a thread of its own: clients of any kind can call it."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.config import Config
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.house import House
from ossature.kernel.service import Service
from ossature.services.hub.service import service

SIM_KEYS = {
    f"OSSATURE_HUB_KEY_{name.upper()}": f"sim-{name}"
    for name in ("openai", "groq", "mistral", "openrouter", "weatherapi")
}


@dataclass(slots=True)
class Served:
    """A running house. key: of its first administrator."""

    url: str
    key: str = ""
    house: House | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a caller sends to be somebody."""
        return {"Authorization": f"Bearer {self.key}"}


@contextmanager
def served(
    database_url: str,
    var_dir: Path,
    sim_url: str,
    extra: Mapping[str, str] | None = None,
    services: Sequence[Service] = (service,),
) -> Iterator[Served]:
    """A house with the hub, or other services, in front of the simulator.

    extra: further settings, or fewer where a value is empty.
    """
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    environ = {
        "OSSATURE_VAR_DIR": str(var_dir),
        "OSSATURE_DATABASE_URL": database_url,
        "OSSATURE_HUB_SIM_URL": sim_url,
        "OSSATURE_HUB_CONTACT": "tests@example.org",
        **SIM_KEYS,
        **(extra or {}),
    }
    config = Config.load(settings_of(everybody(services)), {name: value for name, value in environ.items() if value})
    running = Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=_run, args=(running, config, listener, services), daemon=True)
    thread.start()
    assert running.ready.wait(20)
    if running.failure is not None:
        raise running.failure
    try:
        yield running
    finally:
        running.stop.set()
        thread.join(10)
        listener.close()


def _run(running: Served, config: Config, listener: socket.socket, services: Sequence[Service]) -> None:
    try:
        asyncio.run(_serve(running, config, listener, services))
    except BaseException as failure:
        running.failure = failure
        running.ready.set()
        raise


async def _serve(running: Served, config: Config, listener: socket.socket, services: Sequence[Service]) -> None:
    async with House.open(services, config) as house:
        first = await ensure_first_admin(house.database)
        assert first is not None
        running.key, running.house = first.secret, house
        server = uvicorn.Server(
            uvicorn.Config(
                house.app(), lifespan="on", log_level="warning", access_log=False, timeout_graceful_shutdown=2
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not task.done():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        running.ready.set()
        while not running.stop.is_set() and not task.done():  # noqa: ASYNC110 - the event is of another thread
            await asyncio.sleep(0.02)
        server.should_exit = True
        await task
