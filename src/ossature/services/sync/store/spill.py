"""Where the records of a target lie that memory has no room for: a file without a name, encrypted, gone with its process.

The key is made for the file and kept in memory only, so that what is left on a disk says nothing. A kill leaves no file.
"""

import tempfile
from array import array
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ossature.services.sync.domain.problems import SpillFailed

_KEY_BITS = 256
_NONCE_BYTES = 12
_NAME = Struct(">III")


class SpillFile:
    """Rows in a file of a folder, as long as the block lasts. Rows that came together are encrypted together."""

    def __init__(self, folder: Path) -> None:
        """The folder is made if it is not there. Raises: SpillFailed."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `__exit__`
        except OSError as error:
            raise SpillFailed(f"No file can be made in {folder}: {error}") from error
        self._cipher = AESGCM(AESGCM.generate_key(_KEY_BITS))
        self._ends = array("Q", [0])
        self._open: tuple[int, bytes] = (-1, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, rows: Sequence[bytes]) -> list[bytes]:
        """Keep rows; the name of each. Raises: SpillFailed."""
        number = len(self._ends) - 1
        sealed = self._cipher.encrypt(_nonce(number), b"".join(rows), None)
        try:
            self._file.seek(self._ends[-1])
            self._file.write(sealed)
        except OSError as error:
            raise SpillFailed(f"What memory had no room for could not be written: {error}") from error
        self._ends.append(self._ends[-1] + len(sealed))
        lengths = list(map(len, rows))
        return [
            _NAME.pack(number, end - length, length) for end, length in zip(accumulate(lengths), lengths, strict=True)
        ]

    def get(self, name: bytes) -> bytes:
        """A row again. Raises: SpillFailed when the file is not what was written."""
        number, begin, length = _NAME.unpack(name)
        if number != self._open[0]:
            self._open = (number, self._read(number))
        return self._open[1][begin : begin + length]

    def _read(self, number: int) -> bytes:
        begin, end = self._ends[number], self._ends[number + 1]
        try:
            self._file.seek(begin)
            return self._cipher.decrypt(_nonce(number), self._file.read(end - begin), None)
        except (OSError, InvalidTag) as error:
            raise SpillFailed("What memory had no room for cannot be read again.") from error


def _nonce(number: int) -> bytes:
    """Each key is used for one file, and each number of it once."""
    return number.to_bytes(_NONCE_BYTES, "big")
