"""A pack: pipelines and their queries in a folder, made one's own by a few variables. Data only.

`pack.toml` names the variables (each with a kind, a default and a sentence) and the pipelines. `${name}` stands for a
variable in pipelines and queries; `query_file` is replaced by the query itself, so that a saved version is whole.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ossature.kernel.errors import FieldError
from ossature.services.sync.domain.config import Name, nearest
from ossature.services.sync.domain.problems import PipelineInvalid

PACK_FILE = "pack.toml"
_PLACE = re.compile(r"\$\{(\w+)\}")
_QUERY_FILE = re.compile(r'^query_file = "([\w.-]+)"$', re.MULTILINE)
_KINDS = {
    "name": re.compile(r"[a-z0-9][a-z0-9._-]*"),
    # What stands in a query may name a view, and nothing else: `[db].[dbo].[view]`, `schema.view`.
    "identifier": re.compile(r"(?:\w+|\[[\w ]+\])(?:\.(?:\w+|\[[\w ]+\]))*"),
    "text": re.compile(r"[^\"\\\x00-\x1f$]*"),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Variable(_Part):
    """One thing that differs from house to house. kind: `name` of a connection, `identifier` of a view, or `text`."""

    kind: Literal["name", "identifier", "text"]
    default: str = ""
    text: str


class PackPipeline(_Part):
    """One pipeline of a pack. needs: variables without which it stays out."""

    file: Annotated[str, Field(pattern=r"^[\w-]+\.toml$")]
    needs: list[str] = []


class Pack(BaseModel):
    """The file `pack.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_: Literal["ossature.pack/1"] = Field(alias="schema")
    name: Name
    title: str
    variables: dict[str, Variable]
    pipelines: Annotated[dict[str, PackPipeline], Field(min_length=1)]


def read_pack(text: str, *, file: str = PACK_FILE) -> Pack:
    """A pack out of its file. Raises: PipelineInvalid with every fault of it."""
    try:
        return Pack.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PipelineInvalid(f"{file} is not TOML: {error}.") from None
    except ValidationError as error:
        faults = [
            FieldError("/" + "/".join(map(str, each["loc"])), f"{file}: {each['msg']}", each["type"])
            for each in error.errors(include_url=False)
        ]
        raise PipelineInvalid(f"{file} has {len(faults)} faults.", errors=faults) from None


def pipelines_of(pack: Pack, files: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """The texts of the pipelines by the name of their file, with the variables put in.

    files: those of the pack, by name. said: variables, by name; the others keep their defaults. Raises: PipelineInvalid.
    """
    values = _values(pack, said)
    made = {}
    for one in pack.pipelines.values():
        if all(values[name] for name in one.needs):
            text = _QUERY_FILE.sub(lambda found: _query(files, found[1]), _file(files, one.file))
            made[one.file] = _PLACE.sub(lambda place: _value(values, place[1]), text)
    return made


def _values(pack: Pack, said: Mapping[str, str]) -> dict[str, str]:
    faults = []
    for name, value in said.items():
        if name not in pack.variables:
            message = f"there is no variable {name!r}{nearest(name, pack.variables)}"
            faults.append(FieldError(f"/{name}", message, "unknown"))
        elif not _KINDS[pack.variables[name].kind].fullmatch(value):
            kind = pack.variables[name].kind
            faults.append(FieldError(f"/{name}", f"{name} is a {kind}, and {value!r} is none", "invalid"))
    if faults:
        raise PipelineInvalid("; ".join(fault.message for fault in faults) + ".", errors=faults)
    return {name: said.get(name, one.default) for name, one in pack.variables.items()}


def _query(files: Mapping[str, str], name: str) -> str:
    text = _file(files, name).strip()
    if "'''" in text:
        raise PipelineInvalid(f"{name} holds three quotes in a row.")
    return f"query = '''\n{text}\n'''"


def _file(files: Mapping[str, str], name: str) -> str:
    if name not in files:
        raise PipelineInvalid(f"The pack has no file {name}.")
    return files[name]


def _value(values: Mapping[str, str], name: str) -> str:
    if name not in values:
        raise PipelineInvalid(f"The pack has no variable {name!r}{nearest(name, values)}.")
    return values[name]
