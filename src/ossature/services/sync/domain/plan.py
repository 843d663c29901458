"""The plan: an immutable file whose name is the SHA-256 of its bytes.

JSON Lines in UTF-8, keys sorted: a header, one line for each operation, an end that seals what came before it. The same
inputs give the same bytes but for `created_at`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from ossature.services.sync.domain.decision import ENGINE_VERSION, Op
from ossature.services.sync.domain.guards import Guard
from ossature.services.sync.domain.order import REMOVALS
from ossature.services.sync.domain.problems import PlanTampered

SCHEMA = "ossature.sync.plan/1"
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of one operation. rule: under which it was found to differ."""

    name: str
    before: Any
    after: Any
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One write, or (`adopt`) one record taken into our care.

    n: its number, from 1 in the order of the file. precondition: content hash of the record that it was decided on, empty
    when there was none. reason: the case of `domain.decision`. calls: what it costs, by class.
    """

    n: int
    pipeline: str
    op: Op
    key: str
    rank: int
    reason: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    precondition: str
    fields: tuple[FieldChange, ...] = ()
    calls: Mapping[str, int] = field(default_factory=dict)
    undoable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPipeline:
    """What one pipeline of a plan was made from."""

    name: str
    version_sha256: str
    source_rows: int
    source_sha256: str
    target_rows: int
    target_read_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan, as it stands in its file. only: kinds of operations that were asked for; empty for all."""

    created_at: datetime
    pipelines: tuple[PlannedPipeline, ...]
    operations: tuple[Operation, ...]
    guards: tuple[Guard, ...] = ()
    only: tuple[str, ...] = ()
    profile: str | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many operations of each kind."""
        found: dict[str, int] = {}
        for operation in self.operations:
            found[operation.op] = found.get(operation.op, 0) + 1
        return dict(sorted(found.items()))

    @property
    def state(self) -> str:
        """How it begins: `empty`, `ready` or `blocked`."""
        if any(guard.level == "block" for guard in self.guards):
            return "blocked"
        return "ready" if self.operations else "empty"


def write_plan(plan: Plan) -> bytes:
    """The bytes of a plan."""
    header = {
        "schema": SCHEMA,
        "created_at": plan.created_at.isoformat().replace("+00:00", "Z"),
        "engine_version": ENGINE_VERSION,
        "pipelines": [asdict(one) for one in plan.pipelines],
        "only": list(plan.only),
        "profile": plan.profile,
        "guards": [guard.to_dict() for guard in plan.guards],
        "budget": dict(plan.budget),
        "counts": plan.counts,
    }
    lines = [_encode(header), *map(_encode, plan.operations)]
    body = b"\n".join(lines) + b"\n"
    end = {"end": True, "ops": len(plan.operations), "sha256_of_previous": hashlib.sha256(body).hexdigest()}
    return body + _encode(end) + b"\n"


def sha256_of(content: bytes) -> str:
    """The name of a plan."""
    return hashlib.sha256(content).hexdigest()


def read_plan(content: bytes, *, sha256: str | None = None) -> Plan:
    """A plan out of its bytes. sha256: its name, where it is known. Raises: PlanTampered when a byte is not as it was."""
    if sha256 is not None and sha256_of(content) != sha256:
        raise PlanTampered("The bytes of this plan do not have its name.")
    body, _, end = content.rstrip(b"\n").rpartition(b"\n")
    try:
        seal = msgspec.json.decode(end, type=dict[str, Any])
        if seal.get("sha256_of_previous") != hashlib.sha256(body + b"\n").hexdigest():
            raise PlanTampered("The seal at the end of this plan is not that of its lines.")
        header, *lines = (msgspec.json.decode(line, type=dict[str, Any]) for line in body.split(b"\n"))
        if (
            header.get("schema") != SCHEMA
            or header.get("engine_version") != ENGINE_VERSION
            or len(lines) != seal["ops"]
        ):
            raise PlanTampered("This plan was made by another version; plan again.")
        return Plan(
            created_at=datetime.fromisoformat(header["created_at"]),
            pipelines=tuple(PlannedPipeline(**one) for one in header["pipelines"]),
            operations=tuple(_operation(line) for line in lines),
            guards=tuple(Guard(**one) for one in header["guards"]),
            only=tuple(header["only"]),
            profile=header["profile"],
            budget=header["budget"],
        )
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise PlanTampered("This is not a plan.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """Which operations of a plan are wanted: of a pipeline, a kind, with a changed field, with this text in the key."""

    pipeline: str | None = None
    op: str | None = None
    field: str | None = None
    key: str | None = None


class _Name(msgspec.Struct):
    name: str


class _Head(msgspec.Struct):
    """What a line must be read for to know whether it is wanted."""

    pipeline: str
    op: str
    key: str
    fields: tuple[_Name, ...]

    def is_wanted(self, picks: Picks) -> bool:
        return (
            picks.pipeline in {None, self.pipeline}
            and picks.op in {None, self.op}
            and (picks.field is None or any(one.name == picks.field for one in self.fields))
            and (picks.key is None or picks.key.casefold() in self.key.casefold())
        )


def read_page(content: bytes, picks: Picks, *, after: int, limit: int) -> tuple[list[Operation], int | None]:
    """Operations of a plan's bytes beyond a number, and the number to go on from when there are more.

    Only the lines that are looked at are read, so that a page of a long plan is quick.
    """
    decode = msgspec.json.Decoder(_Head).decode
    lines = content.split(b"\n")[1:-2]
    everything = picks == Picks()
    found: list[Operation] = []
    for line in lines[after:]:
        if everything or decode(line).is_wanted(picks):
            if len(found) == limit:
                return found, found[-1].n
            found.append(_operation(msgspec.json.decode(line, type=dict[str, Any])))
    return found, None


def numbered(operations: Iterable[Operation], *, pipelines: Sequence[str]) -> tuple[Operation, ...]:
    """Operations in the order in which they are written, numbered from 1: by pipeline, rank and key.

    Removals come after everything else, from the last pipeline to the first: what others depend on goes last.
    """
    place = {name: number for number, name in enumerate(pipelines)}

    def order(one: Operation) -> tuple[bool, int, int, str]:
        removes = one.op in REMOVALS
        return removes, -place[one.pipeline] if removes else place[one.pipeline], one.rank, one.key

    in_order = sorted(operations, key=order)
    return tuple(replace(one, n=n) for n, one in enumerate(in_order, 1))


def _operation(line: dict[str, Any]) -> Operation:
    fields = tuple(FieldChange(**one) for one in line.pop("fields"))
    return Operation(**line, fields=fields)
