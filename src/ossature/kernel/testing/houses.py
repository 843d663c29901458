"""A whole house for tests: the real edge, routes, database and guests, on a database and a folder of the test's own.

>>> async with open_house(SHOP, var_dir=tmp_path, database_url=sqlite_url) as home, home.client() as http:
...     assert (await http.get("/v1/shop/orders")).status_code == 200
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ossature.kernel.auth.bootstrap import FirstAdmin, ensure_first_admin
from ossature.kernel.config import Config, MainSettings, Settings
from ossature.kernel.context import Tenant
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.house import House
from ossature.kernel.http.app import Application
from ossature.kernel.observe.writer import LineWriter
from ossature.kernel.service import Service
from ossature.kernel.testing import schema

if TYPE_CHECKING:
    from httpx import AsyncClient

SECRET = "a secret of tests, 0123456789abcdef"  # noqa: S105 - it protects nothing
PEER = ("192.0.2.7", 50000)
"""The address that requests of `Home.client` come from."""


@dataclass(frozen=True, slots=True)
class Home:
    """An open house with its web application, its first tenant and the key of that tenant's administrator."""

    house: House
    app: Application
    tenant: Tenant
    secret: str

    @asynccontextmanager
    async def client(
        self,
        *,
        secret: str | None = "",
        peer: tuple[str, int] = PEER,
        headers: Mapping[str, str] | None = None,
        raise_app_exceptions: bool = False,
    ) -> "AsyncIterator[AsyncClient]":
        """An HTTP client that calls the application in this process.

        secret: the key that it sends; the administrator's by default, None sends none.
        """
        import httpx  # noqa: PLC0415 - of the extra [dev]

        found = self.secret if secret == "" else secret
        sent = {"accept-encoding": "identity", **(headers or {})}
        if found is not None:
            sent["authorization"] = f"Bearer {found}"
        transport = httpx.ASGITransport(app=self.app, client=peer, raise_app_exceptions=raise_app_exceptions)
        async with httpx.AsyncClient(transport=transport, base_url="http://house.test", headers=sent) as http:
            yield http


@asynccontextmanager
async def open_house(
    *services: Service,
    var_dir: Path,
    database_url: str = "",
    settings: Sequence[Settings] = (),
    profile: str = "testing",
    access: LineWriter | None = None,
) -> AsyncIterator[Home]:
    """A house that stands until the block ends.

    database_url: of a database that has every table already; empty makes a SQLite file in `var_dir`.
    settings: groups to use instead of the defaults, also `MainSettings` and `DatabaseSettings`.
    """
    main = MainSettings(
        profile=profile, var_dir=var_dir, secret_key=SecretStr(SECRET), public_url="http://house.test", workers=1
    )
    config = Config([main, DatabaseSettings(url=database_url), *settings])
    first = await _first_admin(config, empty=not database_url)
    async with House.open(services, config) as house:
        yield Home(house, house.app(access=access), first.tenant, first.secret)


async def _first_admin(config: Config, *, empty: bool) -> FirstAdmin:
    database = Database(config[DatabaseSettings], var_dir=config.main.var_dir)
    try:
        if empty:
            await schema.create(database)
        first = await ensure_first_admin(database)
    finally:
        await database.close()
    if first is None:
        raise Misconfigured("A house of a test begins with an empty database.")
    return first
