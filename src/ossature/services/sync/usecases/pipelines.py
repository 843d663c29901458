"""Saving, finding and trying out pipelines, and the connections that they name."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.services.sync.domain.config import Pipeline, nearest, ordered, read_pipeline
from ossature.services.sync.domain.problems import (
    ConnectionExists,
    ConnectionInUse,
    ConnectionUnknown,
    PipelineExists,
    PipelineInvalid,
    PipelineUnknown,
    ProfileUnknown,
    SecretMissing,
    SourceFailed,
    TargetCredentialRefused,
    TargetFailed,
)
from ossature.services.sync.domain.values import Connection, PipelineView
from ossature.services.sync.ports import Connectors, Source, Target
from ossature.services.sync.store import pipelines as store


@dataclass(frozen=True, slots=True)
class Wired:
    """A pipeline with both its ends."""

    spec: Pipeline
    version: str
    source: Source
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What trying one end of a pipeline gave. problem: empty when it is well. columns: of its first rows."""

    connection: str
    problem: str
    columns: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What trying a pipeline gave. missing: columns that the map reads and the source does not have."""

    source: End
    target: End
    missing: Sequence[str]

    @property
    def good(self) -> bool:
        """Whether it could be planned."""
        return not (self.source.problem or self.target.problem or self.missing)


async def save(ctx: Ctx, toml: str, *, file: str = "pipeline.toml", new: bool = False) -> PipelineView:
    """Keep a pipeline as a new version. Nobody is asked for anything: `check` does that. new: none has its name yet.

    Raises: PipelineInvalid, also when the target cannot serve it; ConnectionUnknown, PipelineExists.
    """
    spec = read_pipeline(toml, file=PurePosixPath(file).name)
    await found_connection(ctx, spec.source.connection)
    target = await found_connection(ctx, spec.target.connection)
    with suppress(SecretMissing):  # set on the machine that runs it, maybe later
        ctx.port(Connectors).target(ctx.tenant, target, spec)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    if new and await store.pipeline(ctx.db, ctx.tenant.id, spec.name) is not None:
        raise PipelineExists(f"There is a pipeline {spec.name!r} already.")
    saved = await store.save_pipeline(ctx.db, ctx.tenant.id, spec, toml, author=ctx.actor.name)
    await ctx.audit("sync.pipeline_saved", spec.name, version=saved.version)
    return saved


async def found(ctx: Ctx, name: str, *, hold: bool = False) -> PipelineView:
    """A pipeline by its full name. hold: nobody else changes it meanwhile. Raises: PipelineUnknown."""
    view = await store.pipeline(ctx.db, ctx.tenant.id, name, hold=hold)
    if view is None:
        raise PipelineUnknown(f"There is no pipeline {name!r}.", near=[])
    return view


async def enable(ctx: Ctx, name: str, *, enabled: bool) -> PipelineView:
    """Have a pipeline planned with all others, or only by its name. Raises: PipelineUnknown."""
    await store.enable_pipeline(ctx.db, ctx.tenant.id, name, enabled=enabled)
    await ctx.audit("sync.pipeline_enabled" if enabled else "sync.pipeline_disabled", name)
    return await found(ctx, name)


async def remove(ctx: Ctx, name: str) -> None:
    """Forget a pipeline; its plans and runs stay. Raises: PipelineUnknown."""
    await found(ctx, name)
    await store.delete_pipeline(ctx.db, ctx.tenant.id, name)
    await ctx.audit("sync.pipeline_removed", name)


async def save_connection(ctx: Ctx, one: Connection, *, new: bool = False) -> Connection:
    """Keep a connection over the one of its name; it is not opened. new: none has its name yet. Raises: ConnectionExists."""
    if not new:
        await store.save_connection(ctx.db, ctx.tenant.id, one)
    elif not await store.add_connection(ctx.db, ctx.tenant.id, one):
        raise ConnectionExists(f"There is a connection {one.name!r} already.")
    await ctx.audit("sync.connection_saved", one.name, kind=one.kind, public=dict(one.public))
    return one


def folder_of(ctx: Ctx, connection: Connection) -> str:
    """The folder in which the files of a connection lie; empty where it has none. Raises: PipelineInvalid."""
    if connection.kind not in {"file", "sql"} or "url" in connection.secrets:
        return ""
    return str(ctx.port(Connectors).folder(ctx.tenant, connection))  # type: ignore[type-abstract] # a promise is asked for by its Protocol


async def found_connection(ctx: Ctx, name: str, *, hold: bool = False) -> Connection:
    """A connection by its name. hold: nobody else changes it meanwhile. Raises: ConnectionUnknown."""
    found = await store.connection(ctx.db, ctx.tenant.id, name, hold=hold)
    if found is None:
        raise ConnectionUnknown(f"There is no connection {name!r}.")
    return found


async def remove_connection(ctx: Ctx, name: str) -> None:
    """Forget a connection. Raises: ConnectionUnknown, ConnectionInUse."""
    await found_connection(ctx, name)
    for view in await store.pipelines(ctx.db, ctx.tenant.id):
        spec = read_pipeline(view.toml, file=f"{view.name}.toml")
        if name in {spec.source.connection, spec.target.connection}:
            raise ConnectionInUse(f"The pipeline {view.name} names it.", pipeline=view.name)
    await store.delete_connection(ctx.db, ctx.tenant.id, name)
    await ctx.audit("sync.connection_removed", name)


async def check(ctx: Ctx, name: str) -> Checked:
    """Open both ends of a pipeline and read the first rows; nothing is written. Raises: PipelineUnknown, PipelineInvalid."""
    view = await found(ctx, _full(name, [one.name for one in await store.pipelines(ctx.db, ctx.tenant.id)]))
    spec = read_pipeline(view.toml, file=f"{view.name}.toml")
    source, target = await _tried(ctx, spec, spec.source.connection), await _tried(ctx, spec, None)
    missing = sorted(spec.columns().difference(source.columns)) if source.columns else []
    return Checked(source=source, target=target, missing=missing)


async def _tried(ctx: Ctx, spec: Pipeline, source: str | None) -> End:
    """One end of a pipeline: its source, or (None) its target."""
    connection = source or spec.target.connection
    columns: Sequence[str] = ()
    problem = ""
    connectors = ctx.port(Connectors)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    try:
        opened = await found_connection(ctx, connection)
        if source is None:
            pages = connectors.target(ctx.tenant, opened, spec).read_all(spec.key)
        else:
            pages = connectors.source(ctx.tenant, opened).read(spec.source)
        async for page in pages:
            columns = sorted(page[0]) if page else ()
            break
    except (ConnectionUnknown, PipelineInvalid, SourceFailed, TargetFailed, TargetCredentialRefused) as failure:
        problem = failure.detail or failure.title
    return End(connection=connection, problem=problem, columns=columns)


async def chosen(ctx: Ctx, names: Sequence[str]) -> list[Wired]:
    """Pipelines as `chosen_specs` gives them, each with both its ends. Raises: as that, ConnectionUnknown."""
    return [await _wired(ctx, spec, version) for spec, version in await chosen_specs(ctx, names)]


async def chosen_specs(ctx: Ctx, names: Sequence[str]) -> list[tuple[Pipeline, str]]:
    """Pipelines by name (short where it is unique), all that are enabled when none is named; in the order of dependence.

    Each with the name of its version. Raises: PipelineUnknown, PipelineInvalid.
    """
    known = {view.name: view for view in await store.pipelines(ctx.db, ctx.tenant.id)}
    full = [_full(name, list(known)) for name in names if name != "all"]
    wanted = full or [name for name, view in known.items() if view.enabled]
    if not wanted:
        raise PipelineUnknown("There is no pipeline yet.", near=[])
    specs = ordered([read_pipeline(known[name].toml, file=f"{name}.toml") for name in dict.fromkeys(wanted)])
    return [(spec, known[spec.name].version) for spec in specs]


def require_profile(specs: Sequence[Pipeline], profile: str | None) -> None:
    """Refuse a profile that no pipeline has: without its limits everything would be written. Raises: ProfileUnknown."""
    known = sorted({name for spec in specs for name in spec.profile})
    if profile is not None and profile not in known:
        raise ProfileUnknown(f"No pipeline has the profile {profile!r}{nearest(profile, known)}.", near=known)


def lock_name(tenant_id: UUID, connection: str) -> str:
    """What the lease of a target is called."""
    return f"sync.target.{tenant_id}.{connection}"


async def _wired(ctx: Ctx, spec: Pipeline, version: str) -> Wired:
    connectors = ctx.port(Connectors)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    source = connectors.source(ctx.tenant, await found_connection(ctx, spec.source.connection))
    target = connectors.target(ctx.tenant, await found_connection(ctx, spec.target.connection), spec)
    return Wired(spec, version, source, target)


def _full(name: str, known: Sequence[str]) -> str:
    if name in known:
        return name
    short = [one for one in known if one.rpartition(".")[2] == name]
    if len(short) != 1:
        raise PipelineUnknown(f"There is no pipeline {name!r}{nearest(name, known)}.", near=short)
    return short[0]
