"""What an operator does with secrets that are kept outside: move them there, and replace one."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from dotenv import dotenv_values

from ossature.kernel.config import PREFIX, Config, Settings, Source
from ossature.kernel.crypto.kept import as_setting
from ossature.kernel.crypto.ring import Key
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.errors import InvalidInput, Misconfigured
from ossature.kernel.secrets.aws import AwsSettings
from ossature.kernel.secrets.vault import VaultSettings

Where = Literal["vault", "aws"]
RING = CryptoSettings.variable("keys")


class NotOurs(InvalidInput):
    """Somebody else gave this secret out, so a new one cannot be made up here: get it from them and write it yourself."""

    title = "Not ours to replace"


class NoSuchSecret(InvalidInput):
    """No secret setting has this name; `ossature settings` lists the names."""

    title = "No such secret"


class Keeper(Protocol):
    """A place outside where secrets are kept."""

    def read(self) -> Mapping[str, str]:
        """What is kept now. Raises: SourceAway."""

    def write(self, values: Mapping[str, str]) -> None:
        """Keep these beside the others. Raises: SourceAway."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a migration did. same: names whose value was there already."""

    written: Sequence[str]
    same: Sequence[str]


def keeper_of(config: Config, where: Where) -> Keeper:
    """Where secrets are kept. Raises: Misconfigured when nothing says where that is."""
    if where == "vault":
        if not config[VaultSettings].addr:
            raise Misconfigured("OSSATURE_VAULT_ADDR says which Vault; it is not set.")
        return config[VaultSettings]
    if not config[AwsSettings].secret:
        raise Misconfigured("OSSATURE_AWS_SECRET says which secret of AWS; it is not set.")
    return config[AwsSettings]


def migrate(file: Path, groups: Iterable[type[Settings]], keeper: Keeper) -> Moved:
    """Copy the secrets of a file of variables, and read back that they are there. The file stays as it is.

    Raises: InvalidInput when the file cannot be read; SourceAway.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            found = {name.upper(): value for name, value in dotenv_values(stream=stream).items() if value}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read.") from error
    wanted = {name: value for name, value in found.items() if _is_secret(name, value, list(groups))}
    kept = _prefixed(keeper.read())
    new = {name: value for name, value in wanted.items() if kept.get(name) != value}
    if new:
        keeper.write(new)
    after = _prefixed(keeper.read())
    lost = [name for name, value in wanted.items() if after.get(name) != value]
    if lost:
        raise Misconfigured(f"These did not arrive: {', '.join(sorted(lost))}.")
    return Moved(sorted(new), sorted(set(wanted) - set(new)))


def rotate(name: str, groups: Iterable[type[Settings]], keeper: Keeper) -> str:
    """Replace a secret by a new one that nobody has seen; the full name of the setting. Processes read it at their start.

    Raises: NoSuchSecret, NotOurs for what another company gave out, SourceAway.
    """
    full = f"{PREFIX}{name.upper().removeprefix(PREFIX)}"
    if not any(full == group.variable(field) for group in groups for field in _secret_fields(group)):
        raise NoSuchSecret(f"{full} is no secret setting.")
    if full == RING:
        before = _prefixed(keeper.read()).get(full, "")
        keeper.write({full: ",".join(filter(None, (as_setting(Key.new()), before)))})
        return full
    if full not in OURS:
        raise NotOurs(
            f"{full} was given out by somebody else, who has to give out another. Ours are: {', '.join(OURS)}."
        )
    keeper.write({full: secrets.token_urlsafe(48)})
    return full


OURS = ("OSSATURE_SECRET_KEY", "OSSATURE_AUTH_METRICS_TOKEN", RING)
"""Secrets that this product alone checks, so that any new value will do."""


def _secret_fields(group: type[Settings]) -> list[str]:
    return [name for name, field in group.model_fields.items() if "Secret" in str(field.annotation)]


def _is_secret(name: str, value: str, groups: Sequence[type[Settings]]) -> bool:
    """Whether a variable holds a secret: by its setting, or a password in an address. How to ask the keeper stays behind."""
    if not name.startswith(PREFIX):
        return False
    for group in groups:
        if issubclass(group, Source) and any(name == group.variable(field) for field in group.model_fields):
            return False
        if any(name == group.variable(field) for field in _secret_fields(group)):
            return True
        prefixes = (
            group.variable(prefix) for field, prefix in group.open_fields.items() if field in _secret_fields(group)
        )
        if any(name.startswith(prefix) for prefix in prefixes):
            return True
    return "://" in value and bool(urlsplit(value).password)


def _prefixed(values: Mapping[str, str]) -> dict[str, str]:
    return {f"{PREFIX}{name.upper().removeprefix(PREFIX)}": value for name, value in values.items()}
