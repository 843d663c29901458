"""The folder of legal documents, read again when something in it has changed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from ossature.kernel.legal.domain import MOST_BYTES, Document, parse_name

log = structlog.get_logger()

_Stamp = tuple[tuple[str, int, int], ...]


class Library:
    """Every text that is kept. A file that cannot be read, or has another name, is left out and told of."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._stamp: _Stamp = ()
        self._documents: Sequence[Document] = ()

    async def documents(self) -> Sequence[Document]:
        """All texts, as they are in the folder now."""
        if self._folder is None:
            return ()
        stamp = await asyncio.to_thread(_look, self._folder)
        if stamp != self._stamp:
            self._documents = await asyncio.to_thread(_read, self._folder, [name for name, _, _ in stamp])
            self._stamp = stamp
        return self._documents


def _look(folder: Path) -> _Stamp:
    try:
        seen = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.suffix == ".md"]
        return tuple((name, about.st_mtime_ns, about.st_size) for name, about in seen)
    except OSError as error:
        log.warning("legal.folder_not_read", folder=str(folder), error=str(error))
        return ()


def _read(folder: Path, names: Sequence[str]) -> Sequence[Document]:
    found = []
    for name in names:
        try:
            found.append(_document(folder / name))
        except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
            log.warning("legal.document_not_read", file=name, error=str(error)[:300])
    return found


def _document(path: Path) -> Document:
    kind, version, language = parse_name(path.name)
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"a text has at most {MOST_BYTES} bytes")
    return Document(kind, version, language, content.decode())
