"""Rows of one SQL query, through `kernel.outbound`: read-only, streamed, one snapshot."""

from collections.abc import AsyncIterator
from typing import Any

from ossature.kernel.outbound.sql import Sql, SqlFailed
from ossature.services.sync.domain.config import SourceSpec
from ossature.services.sync.domain.problems import SourceFailed


class SqlSource:
    """A database. time_limit_s: of the whole read."""

    def __init__(self, sql: Sql, *, time_limit_s: float) -> None:
        self._sql = sql
        self._time_limit_s = time_limit_s

    async def read(self, spec: SourceSpec) -> AsyncIterator[list[dict[str, Any]]]:
        """Batches of rows. Raises: SourceFailed, with the database's own code."""
        try:
            async for columns, rows in self._sql.read(spec.query or "", time_limit_s=self._time_limit_s):
                yield [dict(zip(columns, row, strict=True)) for row in rows]
        except SqlFailed as error:
            raise SourceFailed(error.detail, driver_code=error.facts.get("driver_code")) from error
