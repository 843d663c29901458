"""Where the keys of a ring are kept: a file of this installation that only it may read, or its settings."""

import json
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ossature.kernel.config import Config
from ossature.kernel.crypto.ring import ID_BYTES, KEY_BYTES, FixedKeys, Key, KeyRing
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.errors import Misconfigured

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment] # told apart below

_FORMAT = 1
_ONLY_OURS = 0o600


def open_ring(config: Config) -> KeyRing:
    """The key ring of this installation: of its settings, or of its file. Nothing is read or made before the first use."""
    settings = config[CryptoSettings]
    given = settings.keys.get_secret_value()
    if given:
        return KeyRing(FixedKeys(*_of_settings(given)))
    path = Path(settings.ring_file) if settings.ring_file else config.main.var_dir / "keyring.json"
    return KeyRing(RingFile(path))


def as_setting(key: Key) -> str:
    """A key as `OSSATURE_CRYPTO_KEYS` has it."""
    return f"{key.id}:{urlsafe_b64encode(key.secret).decode().rstrip('=')}"


def _of_settings(given: str) -> Iterator[Key]:
    """The keys of a setting."""
    for entry in given.split(","):
        key_id, _, secret = entry.strip().partition(":")
        yield Key(key_id, _decoded(secret, "OSSATURE_CRYPTO_KEYS"))


class RingFile:
    """A key ring as a file, made at the first use; every process that shares it sees when it turns."""

    turns = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> Sequence[Key] | None:
        """The keys, if the file is another than the one that was read last. Raises: Misconfigured."""
        try:
            seen = self._state()
        except FileNotFoundError:
            if self._seen is not None:
                return None  # gone under way: what was read still opens
            self._make()
            seen = self._state()
        if seen == self._seen:
            return None
        keys = self._parsed()
        self._seen = seen
        return keys

    def rotate(self, active: str) -> None:
        """Put a new key first, unless another than `active` is there already. Raises: Misconfigured."""
        with self._locked():
            keys = self._parsed()
            if keys[0].id != active:
                return
            self._drafted([Key.new(besides=[key.id for key in keys]), *keys]).replace(self.path)
            self._sync_folder()

    def _make(self) -> None:
        """Write a ring of one key, complete or not at all; the first of several processes wins."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._drafted([Key.new()])
        with suppress(FileExistsError):
            os.link(draft, self.path)  # unlike a rename, fails when another process was first
        draft.unlink()
        self._sync_folder()

    def _drafted(self, keys: Sequence[Key]) -> Path:
        """A new file beside the ring, on the disk, which only its owner may read."""
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        written = [{"id": key.id, "key": urlsafe_b64encode(key.secret).decode()} for key in keys]
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OURS)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"format": _FORMAT, "keys": written}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _parsed(self) -> list[Key]:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise Misconfigured(f"{self.path} was written by another version of this product.")
            keys = [Key(_id(one["id"]), _decoded(one["key"], str(self.path))) for one in document["keys"]]
        except OSError as error:
            raise Misconfigured(f"The key ring cannot be read from {self.path}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Misconfigured(f"{self.path} is damaged. Restore the key ring from where you keep a copy.") from error
        if not keys:
            raise Misconfigured(f"{self.path} holds no key. Restore the key ring from where you keep a copy.")
        return keys

    def _state(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time; the lock of one that died is free again."""
        with self.path.with_name(f"{self.path.name}.lock").open("wb") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sync_folder(self) -> None:
        """Have the name of the file on the disk as well."""
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _decoded(text: str, where: str) -> bytes:
    secret = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(secret) != KEY_BYTES:
        raise Misconfigured(f"A key in {where} is damaged: it should have {KEY_BYTES} bytes.")
    return secret


def _id(text: str) -> str:
    if len(bytes.fromhex(text)) != ID_BYTES or text != text.lower():
        raise ValueError(text)
    return text
