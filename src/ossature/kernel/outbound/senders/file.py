"""Files as providers: reading, writing and listing in folders that the operator declared, and nowhere else.

Every part of a name is opened below the folder before it, without following links: no name, and no link that somebody
puts there in between, leads out. A file is written beside its name and put in its place whole.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import orjson

from ossature.kernel import clock
from ossature.kernel.outbound.http import DEFAULT_MAX_BODY_BYTES, Outcome, Undelivered
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import Document, ErrorKind, Mail, Program, Reply
from ossature.kernel.outbound.threads import Brink, in_thread

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe would be waited for; it is opened without, and then refused.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})
_MAX_NAME_BYTES: Final = 255


class FileSender:
    """Works with the files of declared folders. folders: where each lies, by its name."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    async def send(self, sending: Program | Mail | Document, candidate: Candidate, /) -> Reply:
        """What was read, or that it was done. Raises: Undelivered."""
        manifest = candidate.provider.manifest
        if isinstance(sending, Program):
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "A file provider runs nothing.")
        document = sending if isinstance(sending, Document) else _letter(sending, manifest.folders)
        root = self._folders.get(document.folder) if document.folder in manifest.folders else None
        if root is None:
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, f"The folder {document.folder!r} is not declared.")
        parts = _parts(document.name)
        most = manifest.max_body_bytes or DEFAULT_MAX_BODY_BYTES
        status, body = await in_thread(
            lambda brink: _done(root, document, parts, brink=brink, most_bytes=most),
            time_limit_s=manifest.time_limits.total_s,
        )
        return Reply(status, {}, body, received_at=clock.now())


def _letter(mail: Mail, folders: Sequence[str]) -> Document:
    """A message as a file of its own, in the provider's first folder."""
    return Document("write", folders[0] if folders else "", f"{clock.new_id().hex}.eml", mail.message)


def _parts(name: str) -> list[str]:
    """The parts of a name. Raises: Undelivered for one that could lead anywhere else."""
    parts = name.split("/") if name else []
    for part in parts:
        if part in {"", ".", ".."} or "\0" in part or "\\" in part or len(os.fsencode(part)) > _MAX_NAME_BYTES:
            raise Undelivered(ErrorKind.BAD_REQUEST, Outcome.NOT_SENT, "This is no name of a file in the folder.")
    return parts


def _done(root: Path, document: Document, parts: list[str], *, brink: Brink, most_bytes: int) -> tuple[int, bytes]:
    """Status and body, in the thread. Raises: Undelivered."""
    if document.action != "list" and not parts:
        raise Undelivered(ErrorKind.BAD_REQUEST, Outcome.NOT_SENT, "A file has a name.")
    inner = parts if document.action == "list" else parts[:-1]
    try:
        with _opened(root, inner) as folder:
            match document.action:
                case "list":
                    return 200, orjson.dumps(sorted(os.listdir(folder)))  # noqa: PTH208 - a folder that is open, not a path
                case "read":
                    return 200, _read(folder, parts[-1], most_bytes)
                case "write":
                    _write(folder, parts[-1], document.body, brink)
                    return 201, b""
                case "delete":
                    brink.cross()
                    os.unlink(parts[-1], dir_fd=folder)
                    return 204, b""
    except FileNotFoundError:
        return 404, b""
    except OSError as error:
        if error.errno in _LINKS:
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "A link is not followed.") from None
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        if brink.crossed:
            raise Undelivered(ErrorKind.UPSTREAM_5XX, Outcome.AMBIGUOUS, f"{why}.") from error
        raise Undelivered(ErrorKind.CONNECT, Outcome.NOT_SENT, f"{why}.") from error


@contextmanager
def _opened(root: Path, parts: Sequence[str]) -> Iterator[int]:
    """The folder below the root, opened part by part. Raises: OSError."""
    # The root is the operator's own word: it may be a link.
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _read(folder: int, name: str, most_bytes: int) -> bytes:
    with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "This is no plain file.")
        body = file.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise Undelivered(ErrorKind.DECODE, Outcome.ANSWERED, f"The file has more than {most_bytes} bytes.")
    return body


def _write(folder: int, name: str, body: bytes, brink: Brink) -> None:
    part = f".{clock.new_id().hex}.part"
    try:
        with os.fdopen(os.open(part, _WRITE, 0o640, dir_fd=folder), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        brink.cross()
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
    os.fsync(folder)
