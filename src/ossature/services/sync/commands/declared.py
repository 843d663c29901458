"""`ossature sync pipelines` and `ossature sync connections`: what is kept equal, how, and between which systems."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossature.kernel.cli.session import Session
from ossature.services.sync.commands.calling import Group, OfTenant, at, ended, pairs

if TYPE_CHECKING:
    from ossature.services.sync.usecases.pipelines import Checked

# What a verb does is imported inside it: see `calling`.

pipelines = typer.Typer(cls=Group, no_args_is_help=True, help="The pipelines: what is kept equal, and how.")
connections = typer.Typer(cls=Group, no_args_is_help=True, help="The systems that records come from and go to.")

Fields = Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Fields or variables, each once.")]


@pipelines.command("list")
def list_pipelines(ctx: typer.Context, *, tenant: OfTenant = "") -> None:
    """Every pipeline, with how much there was at its last good run.

    Example: ossature sync pipelines list
    """
    from ossature.services.sync.store import pipelines as stored  # noqa: PLC0415 - see above
    from ossature.services.sync.store import state  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> list[dict[str, Any]]:
        async with at(session, tenant) as house:
            rows = []
            for one in await stored.pipelines(house.db, house.tenant.id):
                known = await state.baseline(house.db, house.tenant.id, one.name)
                rows.append(
                    {
                        "name": one.name,
                        "title": one.title,
                        "enabled": one.enabled,
                        "version": one.version_n,
                        "source rows": known.source_rows,
                        "target rows": known.target_rows,
                    }
                )
            return rows

    session.out.table(ended(session, work()), empty="There is no pipeline yet.")


@pipelines.command()
def save(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    *,
    tenant: OfTenant = "",
) -> None:
    """Keep a pipeline file as a new version.

    Example: ossature sync pipelines save people.toml
    """
    from ossature.services.sync.usecases import pipelines as declaring  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> str:
        async with at(session, tenant) as house:
            saved = await declaring.save(house, file.read_text(), file=file.name)
        return f"{saved.name}, version {saved.version_n}"

    said = ended(session, work())
    session.out.value({"saved": said}, f"Saved {said}.")


@pipelines.command("packs")
def list_packs(ctx: typer.Context) -> None:
    """The packs that are at hand, with their variables.

    Example: ossature sync pipelines packs
    """
    from ossature.services.sync.settings import SyncSettings  # noqa: PLC0415 - see above
    from ossature.services.sync.usecases import packs as packing  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    rows = [
        {"pack": one.pack.name, "variable": name, "default": each.default, "what it is": each.text}
        for one in packing.packs(session.config()[SyncSettings])
        for name, each in one.pack.variables.items()
    ]
    session.out.table(rows)


@pipelines.command()
def install(ctx: typer.Context, pack: str, variables: Fields = None, *, tenant: OfTenant = "") -> None:
    """Save the pipelines of a pack; their connections must be there.

    Example: ossature sync pipelines install agresso-n2f source=erp
    """
    from ossature.services.sync.usecases import packs as packing  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> list[str]:
        async with at(session, tenant) as house:
            return [one.name for one in await packing.install(house, pack, pairs(variables or ()))]

    names = ended(session, work())
    session.out.value({"saved": names}, f"Saved {', '.join(names)}.")


@pipelines.command()
def check(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="PIPELINE")], *, tenant: OfTenant = ""
) -> None:
    """Open both ends of a pipeline and read their first rows; nothing is written. Exit code 1 when something is wrong.

    Example: ossature sync pipelines check people
    """
    from ossature.services.sync.usecases import pipelines as declaring  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "Checked":
        async with at(session, tenant) as house:
            return await declaring.check(house, name)

    tried = ended(session, work())
    lines = [
        f"{end}: {one.connection}: {one.problem or 'well'}"
        for end, one in (("source", tried.source), ("target", tried.target))
    ]
    lines += [f"source: there is no column {column!r}" for column in tried.missing]
    session.out.value({**asdict(tried), "good": tried.good}, "\n".join(lines))
    raise typer.Exit(0 if tried.good else 1)


@pipelines.command()
def validate(ctx: typer.Context, file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Name every fault of a pipeline file, with its line.

    Example: ossature sync pipelines validate people.toml
    """
    from ossature.services.sync.domain.config import read_pipeline  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    spec = read_pipeline(file.read_text(), file=file.name)
    session.out.value({"name": spec.name, "valid": True}, f"{spec.name} is valid.")


@pipelines.command()
def schema(ctx: typer.Context) -> None:
    """The JSON Schema of pipeline files.

    Example: ossature sync pipelines schema
    """
    from ossature.services.sync.domain.config import Pipeline  # noqa: PLC0415 - see above

    Session.of(ctx).out.value(Pipeline.model_json_schema())


@connections.command("save")
def save_connection(
    ctx: typer.Context,
    name: str,
    kind: Annotated[str, typer.Argument(help="file, sql or n2f.")],
    fields: Fields = None,
    *,
    secret: Annotated[list[str] | None, typer.Option(help="field=NAME of OSSATURE_SYNC_SECRET_NAME.")] = None,
    tenant: OfTenant = "",
) -> None:
    """Keep a connection over the one of that name.

    Example: ossature sync connections save files file folder=hr
    """
    from ossature.services.sync.domain.values import Connection  # noqa: PLC0415 - see above
    from ossature.services.sync.usecases import pipelines as declaring  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    one = Connection(name=name, kind=kind, public=pairs(fields or ()), secrets=pairs(secret or ()))

    async def work() -> str:
        async with at(session, tenant) as house:
            await declaring.save_connection(house, one)
            return declaring.folder_of(house, one)

    folder = ended(session, work())
    document = {"saved": name} | ({"folder": folder} if folder else {})
    session.out.value(document, f"Saved {name}{f'; its files lie in {folder}' if folder else ''}.")
