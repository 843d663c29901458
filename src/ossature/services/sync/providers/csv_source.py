"""Rows of a CSV file, as text."""

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from ossature.services.sync.domain.config import SourceSpec
from ossature.services.sync.domain.problems import PipelineInvalid, SourceFailed

_BATCH = 1_000
_MOST_FIELD_CHARS = 1_000_000


class CsvSource:
    """Files below one folder. most_bytes: a larger file is refused."""

    def __init__(self, root: Path, *, most_bytes: int) -> None:
        self._root = root
        self._most_bytes = most_bytes

    async def read(self, spec: SourceSpec) -> AsyncIterator[list[dict[str, Any]]]:
        """Batches of rows. Raises: SourceFailed with the line."""
        batches = self._batches(spec)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            yield batch

    def _batches(self, spec: SourceSpec) -> Iterator[list[dict[str, Any]]]:
        path = below(self._root, spec.path or "")
        csv.field_size_limit(_MOST_FIELD_CHARS)
        number = 1
        try:
            if not path.is_file():  # whoever opens a pipe or a device may wait for ever
                raise SourceFailed(f"There is no file {spec.path}.")
            if path.stat().st_size > self._most_bytes:
                raise SourceFailed(f"{spec.path} is larger than {self._most_bytes} bytes.")
            # A mark at the beginning is no part of the first column's name.
            encoding = "utf-8-sig" if spec.encoding.lower() in {"utf-8", "utf8"} else spec.encoding
            with path.open(newline="", encoding=encoding, errors="strict") as file:
                reader = csv.reader(file, delimiter=spec.delimiter, strict=True)
                columns = next(reader, None)
                if columns is None:
                    raise SourceFailed(f"{spec.path} has not even a first line.")
                twice = sorted({name for name in columns if columns.count(name) > 1})
                if twice:
                    raise SourceFailed(f"{spec.path} has two columns {twice[0]!r}.")
                batch: list[dict[str, Any]] = []
                for cells in reader:
                    number = reader.line_num
                    if len(cells) != len(columns):
                        raise SourceFailed(f"{spec.path}:{number}: {len(cells)} cells, not {len(columns)}.")
                    batch.append(dict(zip(columns, cells, strict=True)))
                    if len(batch) == _BATCH:
                        yield batch
                        batch = []
                yield batch
        except (OSError, UnicodeError, LookupError, csv.Error) as error:
            raise SourceFailed(f"{spec.path}, after line {number}: {error}") from error


def below(root: Path, name: str) -> Path:
    """A file below a folder, wherever its links lead. Raises: PipelineInvalid when it lies outside."""
    base = root.resolve()
    path = (base / name).resolve()
    if not path.is_relative_to(base):
        raise PipelineInvalid(f"{name} lies outside of the connection's folder.")
    return path
