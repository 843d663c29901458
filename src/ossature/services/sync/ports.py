"""What this service asks of the outside: rows of a source, records of a target."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ossature.kernel.context import Tenant
from ossature.services.sync.domain.config import Pipeline, SourceSpec
from ossature.services.sync.domain.plan import Operation
from ossature.services.sync.domain.values import Connection

Rows = Sequence[Mapping[str, Any]]


class Source(Protocol):
    """Reads rows. A read gives all of them or raises; it is never partial."""

    def read(self, spec: SourceSpec) -> AsyncIterator[Rows]:
        """Batches of rows, each row with the same columns; the first batch comes also when it is empty.

        Raises: SourceFailed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a target can.

    at_once: how many operations one write takes (0: any number). settles_after_s: how long after a write was sent it may
    still be carried out, or not yet be seen. fields: of its records; None for any.
    """

    delete: bool = True
    deactivate: bool = False
    at_once: int = 1
    settles_after_s: float = 0.0
    fields: frozenset[str] | None = None


class Target(Protocol):
    """One collection of a target. One request is under way at a time."""

    @property
    def can(self) -> Capabilities:
        """What it is able to do."""

    def check(self, record: Mapping[str, Any]) -> None:
        """Refuse a record that the target would not take. Raises: RowRefused with the field."""

    async def lookups(self, names: Sequence[str]) -> Mapping[str, Rows]:
        """Sets of the target by name, for the map. Raises: TargetFailed, TargetCredentialRefused."""

    def read_all(self, key: Sequence[str]) -> AsyncIterator[Rows]:
        """Every record, page by page, read so that no page shifted. key: the fields of the key.

        Raises: TargetFailed, TargetCredentialRefused.
        """

    async def ready(self) -> None:
        """Return when one write may be sent at once: a pace or a token is waited for before it is announced.

        Raises: TargetFailed, TargetCredentialRefused.
        """

    async def write(self, operations: Sequence[Operation], before: Mapping[str, Mapping[str, Any]]) -> None:
        """Carry operations out: one request. before: what the target has now, by key.

        Raises: TargetRefused when it does not accept a record; TargetUncertain when it may have been carried out;
        TargetFailed, TargetCredentialRefused when it was certainly not.
        """


class Connectors(Protocol):
    """Opens sources and targets."""

    def folder(self, tenant: Tenant, connection: Connection) -> Path:
        """The folder of a connection of the kind `file`. Raises: PipelineInvalid."""

    def source(self, tenant: Tenant, connection: Connection) -> Source:
        """A source of a connection. Raises: PipelineInvalid."""

    def target(self, tenant: Tenant, connection: Connection, pipeline: Pipeline) -> Target:
        """The collection that a pipeline writes to. Raises: PipelineInvalid."""
