"""The file of flags, for who keeps them beside other settings in a repository: flags of the house, in TOML.

[flags."board.new"]
title = "The new board"
variants = { on = true, off = false }     # this is also what is taken without
off = "off"
shares = { on = 10, off = 90 }
rules = [{ plans = ["pro"], shares = { on = 100 } }]
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ossature.kernel.errors import Problem
from ossature.kernel.tenants.flags.domain import FLAGS_MOST, By, Flag, Rule, Value, check

MOST_BYTES = 1_000_000

_Names = Annotated[frozenset[str], Field(max_length=500)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shares: dict[str, float]
    tenants: _Names = frozenset()
    plans: _Names = frozenset()
    users: _Names = frozenset()
    roles: _Names = frozenset()


class _Flag(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = ""
    variants: dict[str, Value] = {"on": True, "off": False}
    off: str = "off"
    shares: dict[str, float]
    rules: list[_Rule] = []
    by: By = "user"
    goal: str | None = None
    round: int = Field(default=1, ge=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flags: Annotated[dict[str, _Flag], Field(max_length=FLAGS_MOST)] = {}


_FILE = TypeAdapter(_File)


def read_flags(path: Path) -> Mapping[str, Flag]:
    """The flags of a file, by name. Raises: ValueError, saying what is wrong with it; OSError."""
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    try:
        found = _FILE.validate_python(tomllib.loads(text.decode()))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    return {name: _flag(name, one) for name, one in found.flags.items()}


def _flag(name: str, one: _Flag) -> Flag:
    rules = tuple(Rule(**dict(rule)) for rule in one.rules)
    flag = Flag(name=name, declared=True, **{**dict(one), "rules": rules})
    try:
        return check(flag, of_house=True)
    except Problem as error:
        raise ValueError(f"flags.{name}{error.errors[0].pointer}: {error.errors[0].message}") from error
