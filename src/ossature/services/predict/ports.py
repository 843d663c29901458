"""What predict asks of its surroundings."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ossature.services.predict.domain.facts import MatchFile


class MatchFiles(Protocol):
    """Reads files of matches."""

    def read(self, content: bytes, name: str) -> MatchFile:
        """All matches of a file. Raises: ImportInvalid naming file, row and column; Misconfigured without the extra."""

    def of_rows(self, rows: Iterable[Mapping[str, Any]], name: str) -> MatchFile:
        """The same, of rows by the names of their columns. Raises: ImportInvalid."""
