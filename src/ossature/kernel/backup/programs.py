"""Programs that come with PostgreSQL: started without a shell, ended with all that they started when time is up."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ossature.kernel.backup.domain import BackupProgramFailed, BackupProgramMissing

_PATH = "/usr/local/bin:/usr/bin:/bin"
_TOLD_BYTES = 2_000
_CHUNK_BYTES = 64 * 1024


def find(name: str, folder: str = "", *, major: int = 0) -> str:
    """Where a program lies: in `folder`, else where systems put it: that of a server's version, else the newest.

    A later version reads an earlier server, but what it writes may be refused there. Raises: BackupProgramMissing.
    """
    if not folder:
        found = {_version(path): path for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")}
        if found:
            return str(found.get(major, found[max(found)]))
    path = shutil.which(name, path=folder or _PATH)
    if path is None:
        raise BackupProgramMissing(f"{name} is not in {folder or _PATH}.")
    return path


def _version(path: Path) -> int:
    version = path.parent.parent.name
    return int(version) if version.isdigit() else 0


async def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    time_limit_s: float,
    source: BinaryIO | None = None,
    target: BinaryIO | None = None,
) -> None:
    """Run a program to its end. environment: beside a bare one. source, target: files as its input and output.

    Raises: BackupProgramFailed with the end of what it complained of.
    """
    name = Path(argv[0]).name
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=source or asyncio.subprocess.DEVNULL,
        stdout=target or asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": os.sep, **environment},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(time_limit_s):
            told = await _last(process.stderr)
            code = await process.wait()
    except TimeoutError:
        raise BackupProgramFailed(f"{name} was ended after {time_limit_s:g} s.") from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
    if code:
        raise BackupProgramFailed(f"{name} ended with {code}: {told.decode(errors='replace').strip()}")


async def _last(stream: asyncio.StreamReader | None) -> bytes:
    last = b""
    while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
        last = (last + chunk)[-_TOLD_BYTES:]
    return last
