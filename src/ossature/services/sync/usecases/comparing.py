"""Reading both sides of a pipeline and deciding about each record."""

import fnmatch
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.services.sync.domain.config import Pipeline
from ossature.services.sync.domain.decision import Decision, content_hash, decide, equal, removal
from ossature.services.sync.domain.difference import Difference, Index
from ossature.services.sync.domain.filters import Row
from ossature.services.sync.domain.guards import Counts
from ossature.services.sync.domain.layout import Layout, Record
from ossature.services.sync.domain.mapping import Mapper, RowRefused
from ossature.services.sync.domain.order import depths, rank
from ossature.services.sync.domain.plan import FieldChange, Operation, PlannedPipeline
from ossature.services.sync.domain.values import Held
from ossature.services.sync.ports import Rows
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store import state as store
from ossature.services.sync.store.spill import SpillFile
from ossature.services.sync.usecases.pipelines import Wired


@dataclass(slots=True)
class Reading:
    """What both sides of one pipeline gave. complete: no row was left out, so what is absent is really gone.

    left_alone: keys of rows that are excluded or cannot be read. Their records are not gone, whatever else is there of them.
    """

    layout: Layout
    index: Index
    source_rows: int = 0
    digest: Any = field(default_factory=sha256)
    complete: bool = True
    keyless: int = 0
    lookup_misses: int = 0
    invalid: int = 0
    duplicates: int = 0
    missing_columns: int = 0
    held: list[Held] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    left_alone: set[str] = field(default_factory=set)
    taken: dict[Any, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compared:
    """What is to be done for one pipeline.

    missed: keys of records of ours that this read did not have. present: keys that it had.
    """

    planned: PlannedPipeline
    operations: list[Operation]
    counts: Counts
    held: list[Held]
    missed: Sequence[str]
    present: Sequence[str]
    reported: dict[str, int]


async def compare(ctx: Ctx, wired: Wired, *, only: Sequence[str], profile: str | None) -> Compared:
    """Read both sides and decide.

    Raises: SourceFailed, TargetFailed, TargetCredentialRefused, SpillFailed; then nothing is known.
    """
    with ExitStack() as files:
        folder, layout = _spill_folder(ctx), Layout.of(wired.spec)
        index = Index(
            layout,
            limit_bytes=wired.spec.limits.memory_limit_mb * 1024 * 1024,
            spill=lambda: files.enter_context(SpillFile(folder)),
        )
        return await _compared(ctx, wired, Reading(layout, index), only=only, profile=profile)


def _spill_folder(ctx: Ctx) -> Path:
    named = ctx.settings[SyncSettings].spill_dir
    return Path(named) if named else ctx.settings.main.var_dir / "sync-spill"


async def _compared(ctx: Ctx, wired: Wired, reading: Reading, *, only: Sequence[str], profile: str | None) -> Compared:
    spec, layout = wired.spec, reading.layout
    sets = sorted({one.lookup for one in spec.map.values() if one.lookup})
    mapper = Mapper(spec.map, await wired.target.lookups(sets), wired.target.check)
    read_at = clock.now()
    async for page in wired.target.read_all(spec.key):
        reading.index.add(layout.records(page))
    target_rows = reading.index.rows_n
    async for rows in wired.source.read(spec.source):
        _take_in(reading, spec, mapper, rows, profile=profile)
    operations, missed, counts, reported = await _decided(ctx, spec, reading, only=only)
    await ctx.db.commit()  # as it was before the reading: the next pipeline's may take its time
    planned = PlannedPipeline(
        name=spec.name,
        version_sha256=wired.version,
        source_rows=reading.source_rows,
        source_sha256=reading.digest.hexdigest(),
        target_rows=target_rows,
        target_read_at=read_at.isoformat().replace("+00:00", "Z"),
    )
    return Compared(planned, operations, counts, reading.held, missed, list(reading.seen), reported)


def _take_in(reading: Reading, spec: Pipeline, mapper: Mapper, rows: Rows, *, profile: str | None) -> None:
    keys: list[str] = []
    records: list[Record] = []
    if rows:
        reading.missing_columns = len(spec.columns(profile) - rows[0].keys())
    for row in rows:
        reading.source_rows += 1
        reading.digest.update(repr(row).encode())
        found = _wanted(reading, spec, mapper, row, profile=profile)
        if found is not None:
            keys.append(found[0])
            records.append(found[1])
    equal, differences = reading.index.compare(keys, records)
    reading.equal += equal
    reading.differences += differences


def _wanted(
    reading: Reading, spec: Pipeline, mapper: Mapper, row: Row, *, profile: str | None
) -> tuple[str, Record] | None:
    """The record that a row asks for, with its key; None when it asks for none."""
    failed = next((one for one in spec.filter if not one.holds(row)), None)
    if failed is not None:
        if failed.on_excluded != "absent":
            _leave_alone(reading, _key_of(reading, spec, mapper, row))
        return None
    try:
        record = reading.layout.record(mapper.record(row))
    except RowRefused as refused:
        _quarantine(reading, spec, mapper, row, refused)
        return None
    key = reading.layout.key_of(record)
    if key is None:
        reading.keyless += 1
        reading.complete = False
    elif not _among_the_taken(reading, spec, row, profile):
        reading.complete = False
        reading.left_alone.add(key)
    elif key in reading.seen:
        reading.duplicates += 1
        reading.complete = False
    else:
        reading.seen.add(key)
        return key, record
    return None


def _leave_alone(reading: Reading, key: str | None) -> None:
    """A row that is not wanted says that its record, or (without a key) any record, is not gone."""
    if key is None:
        reading.complete = False
    else:
        reading.left_alone.add(key)


def _key_of(reading: Reading, spec: Pipeline, mapper: Mapper, row: Row) -> str | None:
    """The key of a row of which nothing else may be readable."""
    try:
        keys = Mapper({name: spec.map[name] for name in spec.key}, mapper.lookups).record(row)
    except RowRefused:
        return None
    return reading.layout.key_of(reading.layout.record(keys))


def _quarantine(reading: Reading, spec: Pipeline, mapper: Mapper, row: Row, refused: RowRefused) -> None:
    if refused.code == "lookup_miss":
        reading.lookup_misses += 1
    else:
        reading.invalid += 1
    key = _key_of(reading, spec, mapper, row)
    if key is None:
        reading.keyless += 1
        reading.complete = False
        return
    if key in reading.seen:
        reading.duplicates += 1
        reading.complete = False
    reading.seen.add(key)
    reading.left_alone.add(key)
    reading.held.append(Held(key=key, field=refused.field, reason=str(refused)))


def _among_the_taken(reading: Reading, spec: Pipeline, row: Row, profile: str | None) -> bool:
    chosen = spec.profile.get(profile or "")
    if chosen is None:
        return True
    if not all(one.holds(row) for one in chosen.filter):
        return False
    if chosen.take_per is None and chosen.take is None:
        return True
    group = row.get(chosen.take_per.column) if chosen.take_per else ""
    reading.taken[group] = reading.taken.get(group, 0) + 1
    return reading.taken[group] <= (chosen.take_per.n if chosen.take_per else chosen.take or 0)


async def _decided(
    ctx: Ctx, spec: Pipeline, reading: Reading, *, only: Sequence[str]
) -> tuple[list[Operation], Sequence[str], Counts, dict[str, int]]:
    gone = [one for one in reading.index.rest() if one.key not in reading.left_alone]
    owned = await store.owned_n(ctx.db, ctx.tenant.id, spec.name)
    # Equal records are looked up only while there are some that are not ours yet: the first night, as a rule.
    equals = reading.equal if owned < len(reading.equal) + len(gone) else []
    keys = [one.key for one in (*reading.differences, *gone)] + equals
    known = await store.states(ctx.db, ctx.tenant.id, spec.name, keys)
    decided: list[tuple[Difference | str, Decision]] = [
        (one, decide(one, known.get(one.key), layout=reading.layout, policies=spec.target.policies))
        for one in reading.differences
    ]
    decided += [(key, equal(known.get(key))) for key in equals]
    protected = 0
    for one in gone:
        decision = removal(
            known.get(one.key),
            policy=spec.delete.policy if reading.complete else "never",
            grace_reads=spec.delete.grace_reads,
            grace_days=spec.delete.grace_days,
        )
        if decision.op and any(fnmatch.fnmatchcase(one.key, pattern) for pattern in spec.delete.protected):
            protected += 1
            decision = Decision(decision.case, None)
        decided.append((one, decision))
    kinds = set(only) or {"create", "update", "adopt", *({"delete", "deactivate"} if spec.deletes else ())}
    operations = [
        _operation(spec, reading.layout, one, how) for one, how in decided if how.op in kinds | {"adopt"} and how.op
    ]
    reported: dict[str, int] = {}
    for _, how in decided:
        if how.op is None and how.case != "equal":
            reported[how.case.value] = reported.get(how.case.value, 0) + 1
    missed = [one.key for one in gone if one.key in known] if reading.complete else []
    operations = _ranked(spec, reading.layout, operations)
    return operations, missed, _counts(reading, operations, owned=owned, protected=protected), reported


def _ranked(spec: Pipeline, layout: Layout, operations: list[Operation]) -> list[Operation]:
    """The operations with their places: who is named by others comes before them, and is removed after them."""
    depth: dict[str, int] = {}
    for name in spec.refs:
        refers_to = {}
        for one in operations:
            named = (one.after or one.before or {}).get(name)
            refers_to[one.key] = layout.key_of(layout.record({spec.key[0]: named}))
        for key, found in depths(refers_to).items():
            depth[key] = max(depth.get(key, 0), found)
    if not any(depth.values()):
        return operations
    return [replace(one, rank=rank(one.op, depth[one.key])) for one in operations]


def _counts(reading: Reading, operations: Sequence[Operation], *, owned: int, protected: int) -> Counts:
    made: dict[str, int] = {}
    for one in operations:
        made[one.op] = made.get(one.op, 0) + 1
    changed = sum(one.kind == "changed" for one in reading.differences)
    return Counts(
        source_rows=reading.source_rows,
        target_rows=reading.index.rows_n,
        owned=owned,
        matched=len(reading.equal) + changed,
        creates=made.get("create", 0),
        updates=made.get("update", 0),
        deletes=made.get("delete", 0) + made.get("deactivate", 0),
        duplicate_source_keys=reading.duplicates,
        duplicate_target_keys=len(reading.index.duplicates),
        keyless_rows=reading.keyless,
        lookup_misses=reading.lookup_misses,
        invalid_rows=reading.invalid,
        missing_columns=reading.missing_columns,
        protected=protected,
    )


def _operation(spec: Pipeline, layout: Layout, found: Difference | str, how: Decision) -> Operation:
    if isinstance(found, str):
        found = Difference("changed", found, None, None)
    before = None if found.actual is None else layout.values(found.actual)
    after = None if found.desired is None else layout.values(found.desired)
    changes = tuple(
        FieldChange(
            name=name,
            before=(before or {}).get(name),
            after=(after or {}).get(name),
            rule=" + ".join(spec.compare[name].rules) if name in spec.compare else "exact",
        )
        for name in found.fields
    )
    op = how.op or "adopt"
    return Operation(
        n=0,
        pipeline=spec.name,
        op=op,
        key=found.key,
        rank=rank(op, 0),
        reason=how.case.value,
        before=before,
        after=after,
        precondition="" if found.actual is None else content_hash(layout, found.actual),
        fields=changes,
        calls={} if op == "adopt" else {"write": 1},
        undoable=op != "adopt",
    )
