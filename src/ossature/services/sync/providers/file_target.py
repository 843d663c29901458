"""A CSV file as a target: the whole of it is written anew, beside the old one, and takes its place at once."""

import asyncio
import csv
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ossature.services.sync.domain.canonical import encode
from ossature.services.sync.domain.plan import Operation
from ossature.services.sync.domain.problems import TargetFailed
from ossature.services.sync.ports import Capabilities, Rows

_PAGE = 1_000
_PART = ".part"


class FileTarget:
    """The file `collection` + `.csv` of a folder; a cell is text, and an empty one is nothing.

    A batch of operations is one write: either all of them are in the file, or none is.
    """

    can = Capabilities(at_once=0)

    def __init__(self, path: Path, *, key: Sequence[str], columns: Sequence[str]) -> None:
        """The file at a path. key: the columns of the key. columns: what a new file has, in this order."""
        self._path = path
        self._key = tuple(key)
        self._columns = tuple(columns)

    def check(self, record: Mapping[str, Any]) -> None:
        """A file takes everything."""

    async def lookups(self, names: Sequence[str]) -> Mapping[str, Rows]:
        """A file knows no sets."""
        del names
        return {}

    async def read_all(self, key: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Every record; none of a file that is not there yet. Raises: TargetFailed."""
        del key
        _, records = await asyncio.to_thread(self._read)
        for start in range(0, max(1, len(records)), _PAGE):
            yield records[start : start + _PAGE]

    async def ready(self) -> None:
        """A file may be written at any time."""

    async def write(self, operations: Sequence[Operation], before: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the file anew with all operations in it. Raises: TargetFailed, and then the old one is untouched."""
        await asyncio.to_thread(self._write, operations, before)

    def _read(self) -> tuple[list[str], list[dict[str, Any]]]:
        try:
            with self._path.open(newline="", encoding="utf-8") as file:
                reader = csv.reader(file, strict=True)
                columns = next(reader, [])
                records = []
                for cells in reader:
                    if len(cells) != len(columns):
                        said = f"{len(cells)} cells, not {len(columns)}"
                        raise TargetFailed(f"{self._path.name}:{reader.line_num}: {said}.")
                    records.append({name: cell or None for name, cell in zip(columns, cells, strict=True)})
                return columns, records
        except FileNotFoundError:
            return [], []
        except (OSError, UnicodeError, csv.Error) as error:
            raise TargetFailed(f"{self._path.name} cannot be read: {error}") from error

    def _write(self, operations: Sequence[Operation], before: Mapping[str, Mapping[str, Any]]) -> None:
        columns, records = self._read()
        columns += [name for name in self._columns if name not in columns]
        places = {self._identity(record): number for number, record in enumerate(records)}
        kept: list[dict[str, Any] | None] = list(records)
        for one in operations:
            # The row is found by what it says now: the canonical key need not be what is written there.
            there = before.get(one.key)
            place = None if there is None else places.get(self._identity(there))
            if one.op == "delete":
                if place is not None:
                    kept[place] = None
                continue
            after = {name: as_cell(value) for name, value in (one.after or {}).items()}
            if place is None:
                kept.append(after)
            else:
                kept[place] = {**records[place], **after}
        self._replace(columns, [record for record in kept if record is not None])

    def _identity(self, record: Mapping[str, Any]) -> bytes:
        return encode([as_cell(record.get(name)) for name in self._key])

    def _replace(self, columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
        part = self._path.with_name(self._path.name + _PART)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(records)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise TargetFailed(f"{self._path.name} cannot be written: {error.strerror}") from error


def as_cell(value: Any) -> str:  # noqa: ANN401 - any field
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ";".join(map(str, value))
    if isinstance(value, Mapping):
        return ";".join(f"{name}={text}" for name, text in sorted(value.items()))
    return str(value)
