"""A web process that kills itself at a moment that the request names: `X-Die: before-commit` or `before-answer`."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ossature.kernel.config import Config, MainSettings
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import Db
from ossature.kernel.house import House
from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.testing.houses import SECRET
from tests.kernel.http.shop import SHOP


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """An application that dies when it is told to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wish = dict(scope.get("headers", ())).get(b"x-die", b"")
        if wish == b"before-commit":
            die_before_commit()

        async def last(message: Message) -> None:
            if wish == b"before-answer" and message["type"] == "http.response.start":
                die()
            await send(message)

        await self._app(scope, receive, last)


def die_before_commit() -> None:
    """Let claims be committed, but not what has an effect."""
    commit = Db.commit

    async def committing(db: Db) -> None:
        if any("INSERT INTO jobs_job" in statement for statement in db.statistics.alike):
            die()
        await commit(db)

    Db.commit = committing  # type: ignore[method-assign]


async def main(url: str, var_dir: Path, lease_s: float) -> None:
    main_settings = MainSettings(
        profile="testing", var_dir=var_dir, secret_key=SecretStr(SECRET), public_url="http://house.test"
    )
    config = Config([main_settings, DatabaseSettings(url=url), HttpSettings(idempotency_lease_s=lease_s)])
    listening = socket.create_server(("127.0.0.1", 0))
    async with House.open([SHOP], config) as house:
        server = WebServer(Mortal(house.app()), listening, config[HttpSettings])
        running = asyncio.create_task(server.run())
        await server.ready()
        print(listening.getsockname()[1], flush=True)
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
