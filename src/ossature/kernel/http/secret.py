"""The secret of this installation, from which signing keys follow."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ossature.kernel.config import Config
from ossature.kernel.errors import Misconfigured

_LENGTH_MIN = 32


def installation_secret(config: Config) -> bytes:
    """`OSSATURE_SECRET_KEY`; where it is empty, a secret that was made once and is kept in the var directory.

    Raises: Misconfigured when the kept secret cannot be read or was cut short.
    """
    given = config.main.secret_key.get_secret_value()
    if given:
        return given.encode()
    path = config.main.var_dir / "secret_key"
    if not path.exists():
        _make(path)
    try:
        kept = path.read_text().strip()
    except OSError as error:
        msg = f"The secret of this installation cannot be read from {path}."
        raise Misconfigured(msg) from error
    if len(kept) < _LENGTH_MIN:
        msg = f"{path} is damaged: it should hold {_LENGTH_MIN} characters or more. Restore it, or remove it."
        raise Misconfigured(msg)
    return kept.encode()


def _make(path: Path) -> None:
    """Write a new secret, complete or not at all; the first of several processes wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)  # unlike a rename, fails when another process was first
    draft.unlink()
