"""Programs of this machine as providers: no shell, only those that are declared, within limits of time and memory.

A program gets an empty folder of its own, a bare environment and no terminal. When its time is up, or the caller leaves,
it is killed with everything that it started.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ossature.kernel import clock, deadline
from ossature.kernel.outbound.http import DEFAULT_MAX_BODY_BYTES, Outcome, Undelivered
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import Document, ErrorKind, Mail, Program, Reply

_PATH = "/usr/local/bin:/usr/bin:/bin"
_STDERR_BYTES = 2_000
_CHUNK_BYTES = 64 * 1024
_NOT_STARTED = 127
_SIGN = b"ossature: not started: "
# Limits are set in a process of its own: code between fork and exec is not safe where there are threads.
_LAUNCH = f"""
import os, resource, sys
memory, seconds = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    os.execv(sys.argv[3], sys.argv[3:])
except (OSError, ValueError) as error:
    os.write(2, {_SIGN!r} + str(error).encode())
    os._exit({_NOT_STARTED})
"""


class ProcessSender:
    """Runs programs. One per process of ours."""

    async def send(self, sending: Program | Mail | Document, candidate: Candidate, /) -> Reply:
        """What it printed, with its exit code. Raises: Undelivered."""
        manifest = candidate.provider.manifest
        if not isinstance(sending, Program):
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "A process provider runs a program.")
        path = _declared(sending, manifest.programs)
        limit_s = deadline.remaining_s(sending.time_limit_s)
        if limit_s <= 0:
            raise Undelivered(ErrorKind.TIMEOUT_BEFORE_SEND, Outcome.NOT_SENT, "No time was left.")
        async with _started(path, sending, limit_s) as process:
            try:
                async with asyncio.timeout(limit_s):
                    said, told = await _spoken(
                        process, sending.stdin, manifest.max_body_bytes or DEFAULT_MAX_BODY_BYTES
                    )
                    code = await process.wait()
            except TimeoutError:
                raise Undelivered(
                    ErrorKind.TIMEOUT_AFTER_SEND, Outcome.AMBIGUOUS, f"It was killed after {limit_s:g} s."
                ) from None
        return _reply(code, said, told)


def _declared(program: Program, declared: tuple[str, ...]) -> str:
    """Where the program lies. Raises: Undelivered when it is not declared or not there."""
    if not program.argv or program.argv[0] not in declared:
        raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "The program is not declared.")
    path = shutil.which(program.argv[0], path=_PATH)
    if path is None:
        raise Undelivered(ErrorKind.CONNECT, Outcome.NOT_SENT, f"There is no program {program.argv[0]!r}.")
    return path


@asynccontextmanager
async def _started(path: str, program: Program, limit_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that runs at most as long as the block."""
    seconds = max(1, int(limit_s) + 1)
    with tempfile.TemporaryDirectory(prefix="ossature-", ignore_cleanup_errors=True) as folder:
        try:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.subprocess_exec(
                lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=_CHUNK_BYTES, loop=loop),
                *(sys.executable, "-I", "-S", "-c", _LAUNCH, str(program.memory_bytes), str(seconds)),
                *(path, *program.argv[1:]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": _PATH, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"},
                cwd=Path(folder),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise Undelivered(ErrorKind.CONNECT, Outcome.NOT_SENT, f"It could not be started: {error}") from error
        process = asyncio.subprocess.Process(transport, protocol, loop)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # it, and whatever it started
            _hang_up(transport)
            await asyncio.shield(process.wait())


def _hang_up(transport: asyncio.SubprocessTransport) -> None:
    """Close the pipes: who waits for a process also waits for their end, and nobody reads what is still in them."""
    for descriptor in range(3):
        pipe = transport.get_pipe_transport(descriptor)
        if pipe is not None:
            pipe.close()


async def _spoken(process: asyncio.subprocess.Process, stdin: bytes, most_bytes: int) -> tuple[bytes, bytes]:
    """What it printed, and the end of what it complained of. Raises: Undelivered when it prints too much."""
    assert process.stdout is not None  # noqa: S101 - all three were asked for
    assert process.stderr is not None  # noqa: S101
    said, told, _ = await asyncio.gather(_read(process.stdout, most_bytes), _last(process.stderr), _fed(process, stdin))
    return said, told


async def _read(stream: asyncio.StreamReader, most_bytes: int) -> bytes:
    body = bytearray()
    while chunk := await stream.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > most_bytes:
            raise Undelivered(ErrorKind.DECODE, Outcome.AMBIGUOUS, f"It printed more than {most_bytes} bytes.")
    return bytes(body)


async def _last(stream: asyncio.StreamReader) -> bytes:
    last = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        last = (last + chunk)[-_STDERR_BYTES:]
    return last


async def _fed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    writer = process.stdin
    assert writer is not None  # noqa: S101 - it was asked for
    with suppress(BrokenPipeError, ConnectionResetError):  # a program need not read what it is given
        writer.write(stdin)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _reply(code: int, said: bytes, told: bytes) -> Reply:
    if code == _NOT_STARTED and told.startswith(_SIGN):
        why = told.removeprefix(_SIGN).decode(errors="replace")
        raise Undelivered(ErrorKind.CONNECT, Outcome.NOT_SENT, f"It could not be started: {why}")
    if code < 0:
        name = signal.Signals(-code).name
        raise Undelivered(ErrorKind.UPSTREAM_5XX, Outcome.AMBIGUOUS, f"It was ended by {name}.")
    headers = {"exit-code": str(code), "stderr": told.decode(errors="replace")}
    return Reply(200 if code == 0 else 500, headers, said, received_at=clock.now())
