"""A pipeline: which records of a source a target should have, said in one TOML file and checked as a whole.

No code, no expressions. Every fault of a file is found at once, each with its line and the nearest valid name.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ossature.kernel.errors import FieldError
from ossature.services.sync.domain.canonical import OPTIONS, RULES
from ossature.services.sync.domain.filters import Filter
from ossature.services.sync.domain.mapping import FieldMap, Zone
from ossature.services.sync.domain.problems import PipelineInvalid

SCHEMA = "ossature.sync/1"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$", max_length=120)]
_Ratio = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Delete(_Part):
    """What happens at the target to what the source has no more. grace: reads and days that it must be absent before."""

    policy: Literal["never", "deactivate", "delete"] = "never"
    grace_reads: Annotated[int, Field(ge=1)] = 2
    grace_days: _Count = 0
    protected: list[str] = []


class Limit(_Part):
    """A guard holds above the larger of `min` records and `ratio` of them."""

    min: _Count
    ratio: _Ratio


class Guards(_Part):
    """Thresholds; see `domain.guards` for what each one counts.

    too_many_updates: holds above `ratio` of the records on both sides, once there are `min` of those.
    """

    source_shrunk: _Ratio = 0.9
    target_shrunk: _Ratio = 0.5
    too_many_deletes: Limit = Limit(min=10, ratio=0.05)
    too_many_updates: Limit = Limit(min=20, ratio=0.5)
    too_many_creates: Limit = Limit(min=50, ratio=0.2)
    unreadable_key: _Ratio = 0.01
    lookup_misses: _Ratio = 0.05
    invalid_rows: _Ratio = 0.05
    protected_policy: Literal["list", "block"] = "list"


class Limits(_Part):
    """How long, how much. finish_by: local time of the schedule's zone, `HH:MM`."""

    max_failures: Annotated[int, Field(ge=1)] = 50
    memory_limit_mb: Annotated[int, Field(ge=16)] = 512
    finish_by: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    plan_ttl_s: Annotated[int, Field(ge=60)] = 3600


class Schedule(_Part):
    """When it runs by itself: cron fields in a time zone."""

    cron: str
    tz: Zone = "UTC"


class SourceSpec(_Part):
    """Where rows come from: a connection and, by its kind, one query or one file.

    ordered_by_key: a claim, checked on every row.
    """

    connection: str
    query: str | None = None
    query_file: str | None = None
    path: str | None = None
    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    ordered_by_key: bool = False
    schema_policy: Literal["freeze", "warn", "evolve"] = "warn"

    @model_validator(mode="after")
    def _one_place(self) -> "SourceSpec":
        if sum(given is not None for given in (self.query, self.query_file, self.path)) != 1:
            msg = "give exactly one of query, query_file and path"
            raise ValueError(msg)
        for file in (self.query_file, self.path):
            if file is not None and (file.startswith(("/", "\\")) or ".." in re.split(r"[\\/]", file)):
                msg = f"{file!r} leaves the folder of the pipeline"
                raise ValueError(msg)
        return self


class Compare(_Part):
    """How one field is compared: a rule, or several that are applied one after the other."""

    rule: str | list[str]
    scale: Annotated[int, Field(ge=0, le=12)] | None = None
    tz: Zone | None = None
    formats: list[str] | None = None
    never: str | None = None
    cultures: list[str] | None = None

    @property
    def rules(self) -> list[str]:
        """The rules in their order."""
        return [self.rule] if isinstance(self.rule, str) else self.rule

    @property
    def options(self) -> dict[str, Any]:
        """What was said to the rules."""
        return self.model_dump(exclude={"rule"}, exclude_none=True)

    @model_validator(mode="after")
    def _known(self) -> "Compare":
        if not self.rules:
            raise ValueError("name at least one rule")
        for rule in self.rules:
            if rule not in RULES:
                msg = f"there is no compare rule {rule!r}{nearest(rule, RULES)}"
                raise ValueError(msg)
        allowed = frozenset[str]().union(*(OPTIONS.get(rule, frozenset()) for rule in self.rules))
        for option in self.options:
            if option not in allowed:
                msg = f"{option!r} says nothing to {' + '.join(self.rules)}"
                raise ValueError(msg)
        return self


class Policies(_Part):
    """What is done in the cases that have more than one good answer (`domain.decision`)."""

    on_vanished: Literal["recreate", "report"] = "recreate"
    on_first_match: Literal["update", "report"] = "update"
    on_drift: Literal["revert", "report", "adopt"] = "revert"
    on_conflict: Literal["source_wins", "report"] = "source_wins"


class TargetSpec(_Part):
    """Where records go: a collection of a connection, and how firmly the source rules over it."""

    connection: str
    collection: str
    params: dict[str, str] = {}
    policies: Policies = Policies()
    verify: bool = True


class Take(_Part):
    """Only the first `n` rows of each value of a column: for trying out, and never with deletions."""

    column: str
    n: Annotated[int, Field(ge=1)]


class Profile(_Part):
    """What is different in one surrounding (`--profile dev`)."""

    take_per: Take | None = None
    take: Annotated[int, Field(ge=1)] | None = None
    filter: list[Filter] = []


class Pipeline(_Part):
    """One pipeline file, whole. deletes: removals are in every plan, not only where they are asked for."""

    schema_: Literal["ossature.sync/1"] = Field(alias="schema")
    name: Name
    title: str = ""
    owner: str = ""
    docs: str = ""
    depends_on: list[Name] = []
    key: Annotated[list[str], Field(min_length=1)]
    filter: list[Filter] = []
    delete: Delete = Delete()
    deletes: bool = False
    guards: Guards = Guards()
    limits: Limits = Limits()
    schedule: Schedule | None = None
    publishes: Literal["employees"] | None = None
    on_duplicate: Literal["block", "quarantine"] = "block"
    source: SourceSpec
    map: Annotated[dict[str, FieldMap], Field(min_length=1)]
    compare: dict[str, Compare] = {}
    target: TargetSpec
    profile: dict[str, Profile] = {}

    def columns(self, profile: str | None = None) -> frozenset[str]:
        """The source columns that are read: a row without one of them is not what the file was written for."""
        overlay = self.profile.get(profile or "", Profile())
        mapped = [field.columns() for field in self.map.values()]
        filtered = [condition.columns() for condition in (*self.filter, *overlay.filter)]
        taken = {overlay.take_per.column} if overlay.take_per else set[str]()
        return frozenset(taken).union(*mapped, *filtered)

    @property
    def refs(self) -> list[str]:
        """The fields that name another record of this pipeline."""
        return [name for name, field in self.map.items() if field.ref is not None]

    @field_validator("key")
    @classmethod
    def _distinct(cls, key: list[str]) -> list[str]:
        if len(set(key)) != len(key):
            raise ValueError("a field is named twice")
        return key

    @model_validator(mode="after")
    def _fields_exist(self) -> "Pipeline":
        for place, fields in (("key", self.key), ("compare", self.compare)):
            for field in fields:
                if field not in self.map:
                    msg = f"{place} names {field!r}, which [map] does not make{nearest(field, self.map)}"
                    raise ValueError(msg)
        if self.refs and len(self.key) > 1:
            msg = f"{self.refs[0]} refers to a record of this pipeline, whose key has more than one field"
            raise ValueError(msg)
        if self.delete.policy != "never":
            for condition in self.filter:
                if condition.on_excluded is None:
                    msg = "a filter must say on_excluded as soon as records may be deleted"
                    raise ValueError(msg)
        return self


def nearest(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def version_of(text: str) -> str:
    """The SHA-256 that names this text as a version, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_pipeline(text: str, *, file: str = "pipeline.toml") -> Pipeline:
    """A pipeline out of its file. Raises: PipelineInvalid with every fault of it."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets in each other
        said = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise PipelineInvalid(f"{file} is not TOML.", errors=[FieldError("", f"{file}: {said}", "toml")]) from None
    try:
        return Pipeline.model_validate(document)
    except ValidationError as error:
        lines = dict(_lines(text))
        faults = [_fault(found, lines, file) for found in error.errors(include_url=False)]
        raise PipelineInvalid(f"{file} has {len(faults)} faults.", errors=faults) from None


def ordered(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Each pipeline after those that it depends on, else by name. Raises: PipelineInvalid naming a cycle or a stranger."""
    by_name = {pipeline.name: pipeline for pipeline in pipelines}
    done: dict[str, Pipeline] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in done or name not in by_name:
            return
        if name in trail:
            circle = " → ".join((*trail[trail.index(name) :], name))
            raise PipelineInvalid(f"depends_on runs in a circle: {circle}.")
        for other in sorted(by_name[name].depends_on):
            visit(other, (*trail, name))
        done[name] = by_name[name]

    for name in sorted(by_name):
        visit(name, ())
    return list(done.values())


_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=""")


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Where each table and entry begins. Inside an inline table the line is that of its entry."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, entry = _HEADER.match(line), _ENTRY.match(line)
        if header:
            table = _dotted(header[1])
            yield table, number
        elif entry:
            yield (*table, *_dotted(entry[1])), number


def _dotted(path: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in path.split("."))


def _fault(found: Any, lines: Mapping[tuple[str, ...], int], file: str) -> FieldError:  # noqa: ANN401 - pydantic's own shape
    path = tuple(str(part) for part in found["loc"])
    line = next((lines[path[:size]] for size in range(len(path), 0, -1) if path[:size] in lines), 1)
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        message = f"unknown key {path[-1]!r}{nearest(path[-1], _siblings(path[:-1]))}"
    return FieldError("/" + "/".join(path), f"{file}:{line}: {'.'.join(path)}: {message}", found["type"])


def _siblings(path: tuple[str, ...]) -> list[str]:
    """The names that are valid at a place of the file."""
    annotation: Any = Pipeline
    for part in path:
        model = _model_of(annotation)
        if get_origin(annotation) in {dict, list}:
            annotation = get_args(annotation)[-1]
        elif model is not None:
            annotation = {(field.alias or name): field.annotation for name, field in model.model_fields.items()}.get(
                part
            )
    model = _model_of(annotation)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _model_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - an annotation
    candidates = (annotation, *get_args(annotation))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)
