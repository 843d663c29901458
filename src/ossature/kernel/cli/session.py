"""What every verb is given: the services, the global options, and a way to the house."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import typer

from ossature.kernel.cli.output import Output
from ossature.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from ossature.kernel.config import Config
    from ossature.kernel.context import Ctx
    from ossature.kernel.db.engine import Database
    from ossature.kernel.house import House
    from ossature.kernel.service import Service

# Modules of work are imported inside functions here: `ossature --help` answers without them.
_T = TypeVar("_T")


class OnlyHere(InvalidInput):
    """This verb works on the machine itself; it cannot be sent to a server."""

    title = "Only on the machine itself"


class Session:
    """One call of the command. A service's verb gets it by `Session.of(ctx)`."""

    def __init__(
        self, services: "Callable[[], Sequence[Service]]", *, as_json: bool, debug: bool, server: str, key: str
    ) -> None:
        self._services = services
        self.debug = debug
        self.server = server
        self.key = key
        self.out = Output(as_json=as_json)

    @classmethod
    def of(cls, ctx: typer.Context) -> "Session":
        """The session of a running verb."""
        return cast("Session", ctx.find_root().obj)

    @property
    def services(self) -> "Sequence[Service]":
        """The services of this product; imports them."""
        return self._services()

    def only_here(self) -> None:
        """Refuse `--server`. Raises: OnlyHere."""
        if self.server:
            raise OnlyHere("This verb works on the machine itself: leave --server out.")

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of asynchronous work."""
        return asyncio.run(work)

    def config(self, **variables: str) -> "Config":
        """All settings, checked; `variables` are set over the environment. Raises: SettingsRefused."""
        from ossature.kernel.config import Config, environment_of_child  # noqa: PLC0415 - see above
        from ossature.kernel.guests import everybody, settings_of  # noqa: PLC0415 - see above

        return Config.load(settings_of(everybody(self.services)), environment_of_child(**variables))

    @asynccontextmanager
    async def database(self) -> "AsyncIterator[Database]":
        """The database alone, without a house around it."""
        from ossature.kernel.config import Config  # noqa: PLC0415 - see above
        from ossature.kernel.crypto.kept import open_ring  # noqa: PLC0415 - see above
        from ossature.kernel.crypto.settings import CryptoSettings  # noqa: PLC0415 - see above
        from ossature.kernel.db.engine import Database  # noqa: PLC0415 - see above
        from ossature.kernel.db.settings import DatabaseSettings  # noqa: PLC0415 - see above
        from ossature.kernel.secrets.aws import AwsSettings  # noqa: PLC0415 - see above
        from ossature.kernel.secrets.vault import VaultSettings  # noqa: PLC0415 - see above

        self.only_here()
        config = Config.load([DatabaseSettings, CryptoSettings, VaultSettings, AwsSettings])
        database = Database(config[DatabaseSettings], var_dir=config.main.var_dir, ring=open_ring(config))
        try:
            yield database
        finally:
            await database.close()

    @asynccontextmanager
    async def house(self) -> "AsyncIterator[House]":
        """The whole house, without doors to the outside: no web server, no worker."""
        from ossature.kernel.house import House  # noqa: PLC0415 - see above

        self.only_here()
        config = self.config()
        self.log_to_terminal(config)
        async with House.open(self.services, config) as house:
            yield house

    @asynccontextmanager
    async def ctx(self) -> "AsyncIterator[Ctx]":
        """A context of the house itself, committed at the end: what verbs of services work with."""
        async with self.house() as house, house.occasion() as ctx:
            yield ctx

    @asynccontextmanager
    async def tenant(self, slug: str = "") -> "AsyncIterator[Ctx]":
        """A context of a tenant, the first one without a name; committed at the end. Raises: UnknownTenant."""
        from ossature.kernel.tenants import store as tenants  # noqa: PLC0415 - see above
        from ossature.kernel.tenants.domain import UnknownTenant  # noqa: PLC0415 - see above

        async with self.house() as house:
            async with house.database.begin() as db:
                found = await (tenants.tenant_by_slug(db, slug) if slug else tenants.first_tenant(db))
            if found is None:
                raise UnknownTenant("There is no such tenant; `ossature admin-key` makes the first one.")
            async with house.occasion(tenant=found.brief) as ctx:
                yield ctx

    def log_to_terminal(self, config: "Config") -> None:
        """Write log lines of level warning and worse to standard error; all of them with --debug."""
        from ossature.kernel.observe import logs  # noqa: PLC0415 - see above
        from ossature.kernel.observe.settings import ObserveSettings  # noqa: PLC0415 - see above

        settings = config[ObserveSettings].model_copy(update={"log_level": "debug" if self.debug else "warning"})
        logs.configure(settings, secrets=config.secrets())
