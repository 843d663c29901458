"""Passwords: hashed and checked with argon2id, in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from ossature.kernel.auth.password_rules import normal_password
from ossature.kernel.errors import Unavailable

_WAITING_PER_THREAD = 20
_LIMIT_S = 20.0

_T = TypeVar("_T")


class TooManySignIns(Unavailable):
    """More passwords are waiting to be checked than can be in good time."""

    title = "Too many sign-ins at once"
    retry_after_s = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password is right, and its new hash when the old one was made with weaker parameters."""

    right: bool
    new_hash: str | None = None


class Passwords:
    """Hashes passwords beside the event loop. Few at once, since each takes 64 MiB and a processor."""

    def __init__(self, *, threads: int = 2, hasher: Argon2Hasher | None = None) -> None:
        """hasher: other parameters than RFC 9106's second choice (64 MiB, 3 passes), such as cheap ones in tests."""
        self._hash = PasswordHash((hasher or Argon2Hasher(),))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most = threads * _WAITING_PER_THREAD
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to be stored. Raises: TooManySignIns."""
        return await self._run(lambda: self._hash.hash(normal_password(password)))

    async def verify(self, password: str, stored: str | None) -> Verdict:
        """Whether the password belongs to a stored hash; None takes as long and is never right.

        Raises: TooManySignIns.
        """
        return await self._run(lambda: self._verify(normal_password(password), stored))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, stored: str | None) -> Verdict:
        if stored is None:
            if self._nobody is None:
                self._nobody = self._hash.hash("nobody has this password")
            self._hash.verify(password, self._nobody)
            return Verdict(right=False)
        right, new_hash = self._hash.verify_and_update(password, stored)
        return Verdict(right, new_hash)

    async def _run(self, call: Callable[[], _T]) -> _T:
        if self._waiting >= self._most:
            raise TooManySignIns
        self._waiting += 1
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError as error:
            raise TooManySignIns from error
        finally:
            self._waiting -= 1
