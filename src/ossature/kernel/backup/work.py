"""Folders for work in between: on the disk of what is worked on, gone afterwards, also after a kill."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".backup-"


@contextmanager
def working(folder: Path) -> Iterator[Path]:
    """An empty folder inside `folder`, removed at the end. Those of processes that are gone are removed first."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_PREFIX}*"):
        if not _is_there(left.name.removeprefix(_PREFIX).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    place = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _is_there(pid: str) -> bool:
    if not pid.isdigit():
        return False
    with suppress(PermissionError):  # somebody else's: it is there
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
    return True
