"""Opens the ends of a pipeline by the kind of their connection."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from ossature.kernel.context import Tenant
from ossature.kernel.outbound.credentials import fingerprint
from ossature.kernel.outbound.exchange import Exchange
from ossature.kernel.outbound.ledger.values import Ledger
from ossature.kernel.outbound.sql import ForeignPostgres, ForeignSqlite
from ossature.services.sync.domain.config import Pipeline
from ossature.services.sync.domain.problems import PipelineInvalid, SecretMissing
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.ports import Source, Target
from ossature.services.sync.providers.csv_source import CsvSource, below
from ossature.services.sync.providers.file_target import FileTarget
from ossature.services.sync.providers.n2f import n2f_target
from ossature.services.sync.providers.n2f_account import N2fAccount
from ossature.services.sync.providers.sql_source import SqlSource
from ossature.services.sync.settings import SyncSettings


class OwnConnectors:
    """The connectors of this service. files_dir: each tenant's files lie in a folder of it, and nowhere else."""

    def __init__(self, settings: SyncSettings, *, files_dir: Path, out: Callable[[], tuple[Exchange, Ledger]]) -> None:
        """out: gives the house's way out, once there is one."""
        self._settings = settings
        self._files_dir = files_dir
        self._out = out
        self._accounts: dict[str, N2fAccount] = {}

    def source(self, tenant: Tenant, connection: Connection) -> Source:
        """A source of a connection. Raises: PipelineInvalid."""
        if connection.kind == "file":
            return CsvSource(self.folder(tenant, connection), most_bytes=self._settings.max_file_mb * 1024 * 1024)
        if connection.kind == "sql":
            limit = self._settings.source_read_time_limit_s
            if "url" in connection.secrets:
                return SqlSource(
                    ForeignPostgres(self._secrets(tenant, connection)["url"].get_secret_value()), time_limit_s=limit
                )
            path = below(self.folder(tenant, connection), str(connection.public.get("file", "")))
            return SqlSource(ForeignSqlite(path), time_limit_s=limit)
        raise PipelineInvalid(
            f"Nothing can be read from {connection.name!r}, which is of the kind {connection.kind!r}."
        )

    def target(self, tenant: Tenant, connection: Connection, pipeline: Pipeline) -> Target:
        """The collection that a pipeline writes to. Raises: PipelineInvalid."""
        if connection.kind == "file":
            path = below(self.folder(tenant, connection), f"{pipeline.target.collection}.csv")
            return FileTarget(path, key=pipeline.key, columns=list(pipeline.map))
        if connection.kind == "n2f":
            return n2f_target(self._account(tenant, connection), pipeline)
        raise PipelineInvalid(
            f"Nothing can be written to {connection.name!r}, which is of the kind {connection.kind!r}."
        )

    def folder(self, tenant: Tenant, connection: Connection) -> Path:
        """The folder of a connection: below the tenant's own, whatever it says."""
        own = self._files_dir / str(tenant.id)
        own.mkdir(parents=True, exist_ok=True)
        return below(own, str(connection.public.get("folder", ".")))

    def _account(self, tenant: Tenant, connection: Connection) -> N2fAccount:
        """The account of a connection: one for all pipelines, so that it has one token, one pace, one request at a time."""
        secrets = {name: each.get_secret_value() for name, each in self._secrets(tenant, connection).items()}
        key = f"{tenant.id} {connection.name} {fingerprint(secrets)} {sorted(connection.public.items())}"
        if key not in self._accounts:
            self._accounts[key] = N2fAccount(
                connection,
                secrets,
                tenant_id=tenant.id,
                out=self._out(),
                sim_url=self._settings.sim_url,
                call_time_limit_s=self._settings.call_time_limit_s,
            )
        return self._accounts[key]

    def _secrets(self, tenant: Tenant, connection: Connection) -> Mapping[str, SecretStr]:
        found = {field: self._settings.secret(tenant.slug, name) for field, name in connection.secrets.items()}
        missing = sorted(connection.secrets[field] for field, secret in found.items() if secret is None)
        if missing:
            names = ", ".join(self._settings.secret_variable(tenant.slug, name) for name in missing)
            raise SecretMissing(f"The connection {connection.name!r} needs {names}.")
        return {field: secret for field, secret in found.items() if secret is not None}
