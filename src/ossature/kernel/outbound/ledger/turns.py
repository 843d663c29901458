"""Processes take turns at a SQLite file.

SQLite lets a writer wait by sleeping and looking again, so who comes often wins: eight processes got shares of one to
five, and a few waited long. A lock of the operating system wakes them in order; measured with eight processes it gave
equal shares and a fifth more throughput.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: SQLite's own lock is right, only less fair
    fcntl = None  # type: ignore[assignment] # told apart below


class Turns:
    """The queue for one file, seen from one process. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for this process's turn; it ends with the block, or with the process. Raises: OSError."""
        if fcntl is None:
            yield
            return
        if self._file < 0:
            self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
