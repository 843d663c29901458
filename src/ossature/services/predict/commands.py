"""`ossature predict`: replay and evaluate the past, predict what is to come, look for leaks, simulate leagues."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossature.kernel.cli.output import Output
from ossature.kernel.cli.session import Session
from ossature.kernel.errors import InvalidInput
from ossature.services.predict.domain.extras import needed

if TYPE_CHECKING:
    from ossature.kernel.db.chain import Verdict
    from ossature.services.predict.domain.replaying import Request

app = typer.Typer(
    no_args_is_help=True,
    help="Match probabilities: replay and evaluate the past, predict what is to come, look for leaks, simulate.",
)

OfTenant = Annotated[str, typer.Option("--tenant", help="Short name of the tenant; the first one without it.")]

_INVALID = 3
_DAY = ["%Y-%m-%d"]


@app.command()
def replay(  # noqa: PLR0913 - the options of a fixed contract
    *,
    data: Annotated[Path, typer.Option(help="Folder with matches_odds_*.parquet; read recursively.")],
    first: Annotated[datetime, typer.Option("--from", formats=_DAY, help="First day of the window.")],
    last: Annotated[datetime, typer.Option("--to", formats=_DAY, help="Last day of the window, inclusive.")],
    out: Annotated[Path, typer.Option(help="Where the rows go: .parquet, .csv or .jsonl.")],
    models: Annotated[str, typer.Option(help="Only these, with commas; all by default.")] = "",
    kinds: Annotated[str, typer.Option(help="Kinds of leagues.")] = "main,extra",
    competitions: Annotated[str, typer.Option(help="Only these divisions, with commas.")] = "",
    refit: Annotated[str, typer.Option(help="yearly, monthly or a number of days such as 30d.")] = "yearly",
    phases: Annotated[str, typer.Option(help="pre, half-time or both.")] = "pre,half-time",
    include: Annotated[str, typer.Option(help="international: nations too, which learn for themselves.")] = "",
    with_closing: Annotated[bool, typer.Option("--with-closing", help="Add what closing odds said.")] = False,
    seed: Annotated[int, typer.Option(help="Kept in the summary; no model of today draws numbers.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write scores and gaps to the market here, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print nothing but the last line.")] = False,
) -> None:
    """What every model would have said before each match, frozen in a chain. No database, no network.

    The last line of the output is one JSON object. Exit code 3 when the input is missing or invalid.

    Example: ossature predict replay --data history --from 2023-07-01 --to 2024-06-30 --out rows.parquet
    """
    needed("numpy", "polars")
    from ossature.services.predict.domain.ladder import INPUTS  # noqa: PLC0415 - loads numpy
    from ossature.services.predict.domain.replaying import Request  # noqa: PLC0415 - likewise

    more = _chosen("include", include, ("international",)) if include else ()
    request = Request(
        first=_day(first),
        last=_day(last),
        models=_chosen("models", models, tuple(INPUTS)),
        kinds=(*_chosen("kinds", kinds, ("main", "extra")), *more),
        divisions=tuple(filter(None, competitions.split(","))),
        refit=refit,
        phases=_chosen("phases", phases, ("pre", "half-time")),
        with_closing=with_closing,
    )
    summary = _replayed(data, request, out, report=report, quiet=as_json)
    typer.echo(json.dumps({**summary, "seed": seed}))


@app.command()
def evaluate(
    *,
    predictions: Annotated[Path, typer.Option(help="A file that `replay` wrote.")],
    data: Annotated[Path, typer.Option(help="Folder with the results: matches_odds_*.parquet.")],
    kind: Annotated[str, typer.Option(help="main or extra leagues.")] = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """What forecasts were worth: scores, calibration, and the gap to the market on the same matches.

    Exit code 1 when the chain of the file is broken; the first row that is not as it was written is named.

    Example: ossature predict evaluate --predictions rows.parquet --data history
    """
    needed("numpy", "polars")
    from ossature.services.predict.domain.proof import first_fault  # noqa: PLC0415 - with its neighbours
    from ossature.services.predict.providers.matches_odds import read_folder  # noqa: PLC0415 - loads numpy
    from ossature.services.predict.usecases import evaluate as evaluation  # noqa: PLC0415 - likewise

    (wanted,) = _chosen("kind", kind, ("main", "extra"))[:1]
    try:
        rows = evaluation.read_predictions(predictions)
        found = evaluation.evaluate(read_folder(data), rows, kind=wanted)
    except InvalidInput as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(_INVALID) from problem
    out = Output(as_json=as_json)
    out.table(found if as_json else [_line(each) for each in found], empty="No match of these has closing odds.")
    fault = first_fault(rows)
    if fault is not None:
        out.remark(f"The chain is broken at row {fault}.")
        raise typer.Exit(1)


def _line(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of an evaluation for a person: gaps with half of their interval."""
    names = ("phase", "model", "n", "rps", "log_loss", "accuracy", "ece", "ece_floor")
    shown = {name: f"{entry[name]:.5f}" if isinstance(entry[name], float) else entry[name] for name in names}
    for name, gap in entry.items():
        if name.startswith("to_"):
            shown[name] = f"{gap['mean']:+.5f} +- {(gap['high'] - gap['low']) / 2:.5f}"
    return shown


@app.command("check-leak")
def check_leak(
    *,
    data: Annotated[Path, typer.Option(help="Folder with matches_odds_*.parquet; read recursively.")],
    first: Annotated[datetime, typer.Option("--from", formats=_DAY, help="First day of the window.")],
    last: Annotated[datetime, typer.Option("--to", formats=_DAY, help="Last day of the window, inclusive.")],
    cuts: Annotated[int, typer.Option(min=1, help="On how many days to look.")] = 5,
    plant: Annotated[bool, typer.Option("--plant", help="Let the result be an input: must be found.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was found, as JSON.")] = False,
) -> None:
    """Prove that no forecast uses what was not known: later facts are deleted and permuted, earlier rows must not change.

    Then an input that is the result itself is planted, and has to be found. Exit code 1 for a leak, or a plant not found.

    Example: ossature predict check-leak --data history --from 2023-01-01 --to 2023-06-30
    """
    needed("numpy", "polars")
    from ossature.services.predict.domain.leaks import leaks  # noqa: PLC0415 - loads numpy
    from ossature.services.predict.domain.replaying import Request  # noqa: PLC0415 - likewise
    from ossature.services.predict.providers.matches_odds import read_folder  # noqa: PLC0415 - likewise

    request = Request(first=_day(first), last=_day(last), phases=("pre",))
    try:
        history = read_folder(data)
        found = leaks(history, request, cuts=cuts, plant=plant)
        blind = not plant and not leaks(history, request, cuts=1, plant=True)
    except InvalidInput as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(_INVALID) from problem
    out = Output(as_json=as_json)
    text = "\n".join(f"{each.cut}: {each.model} changed when later facts were {each.facts}" for each in found)
    out.value(
        {"leaks": [asdict(each) for each in found], "plant_found": not blind}, text or "No forecast knows the future."
    )
    if blind:
        out.remark("The planted result was not found: this check proves nothing.")
    if found or blind:
        raise typer.Exit(1)


@app.command("import")
def import_(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parquet files of matches_odds, or folders.")],
    *,
    tenant: OfTenant = "",
) -> None:
    """Store files of matches. The same file again changes nothing. Exit code 3 when one is missing or invalid.

    Example: ossature predict import history
    """
    from ossature.services.predict.usecases.importing import Imported, import_file  # noqa: PLC0415 - as below

    session = Session.of(ctx)
    files = [file for path in paths for file in _files_of(path)]

    async def work() -> list[tuple[Path, Imported]]:
        async with session.tenant(tenant) as house:
            return [(file, await import_file(house, file.read_bytes(), name=file.name)) for file in files]

    try:
        done = session.run(work())
    except InvalidInput as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(_INVALID) from problem
    session.out.table([{"file": file.name, **asdict(one)} for file, one in done], empty="There was nothing to import.")


def _files_of(path: Path) -> list[Path]:
    """The files that a path stands for; exit code 3 when there is none."""
    found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not found or not all(file.is_file() for file in found):
        typer.echo(f"{path}: there is no Parquet file", err=True)
        raise typer.Exit(_INVALID)
    return found


@app.command()
def price(ctx: typer.Context, *, tenant: OfTenant = "") -> None:
    """Predict every match of the coming days. Exit code 3 when there are too few results to learn from.

    Example: ossature predict price
    """
    from ossature.services.predict.usecases.pricing import Priced, price_matches  # noqa: PLC0415 - as below

    session = Session.of(ctx)

    async def work() -> Priced:
        async with session.tenant(tenant) as house:
            return await price_matches(house)

    try:
        done = session.run(work())
    except InvalidInput as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(_INVALID) from problem
    session.out.value(asdict(done), f"{done.predicted} predicted, {done.unchanged} as they were.")


@app.command()
def freeze(ctx: typer.Context, *, tenant: OfTenant = "") -> None:
    """Make the last prediction official of everything that begins now or has begun.

    Example: ossature predict freeze
    """
    from ossature.services.predict.usecases.freezing import freeze_due  # noqa: PLC0415 - as below

    session = Session.of(ctx)

    async def work() -> int:
        async with session.tenant(tenant) as house:
            return await freeze_due(house)

    frozen = session.run(work())
    session.out.value({"frozen": frozen}, f"{frozen} frozen.")


@app.command("verify-chain")
def verify_chain(ctx: typer.Context, *, tenant: OfTenant = "") -> None:
    """Whether every prediction is as it was written, and none is missing. Exit code 1 names those that are not.

    Example: ossature predict verify-chain
    """
    from ossature.services.predict.usecases import freezing  # noqa: PLC0415 - a house is needed by these verbs alone

    session = Session.of(ctx)

    async def work() -> "Verdict":
        async with session.tenant(tenant) as house:
            return await freezing.verify_chain(house)

    verdict = session.run(work())
    faults = [asdict(fault) for fault in verdict.faults]
    said = [f"{fault.seq}: {fault.where} {fault.detail}" for fault in verdict.faults]
    text = "\n".join(said) or f"All {verdict.checked} predictions are as they were written."
    session.out.value({"checked": verdict.checked, "last_seq": verdict.last_seq, "faults": faults}, text)
    if faults:
        raise typer.Exit(1)


@app.command()
def simulate(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the file; made when it is not there.")],
    seed: Annotated[int, typer.Option(help="The same seed is the same world.")] = 1,
    seasons: Annotated[int, typer.Option(min=1, help="From 2019-20 on.")] = 5,
    leagues: Annotated[int, typer.Option(min=1, help="Countries, of two divisions each.")] = 2,
    teams: Annotated[int, typer.Option(min=6, help="In each division; an even number.")] = 16,
    following: Annotated[
        datetime | None,
        typer.Option("--next", formats=_DAY, help="A day on which a round of the last season begins, announced only."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="matches_odds")] = "matches_odds",
) -> None:
    """Seasons of leagues whose true probabilities are known, as files that `replay` and `import` read. Prints their names.

    With --next the world ends before that day, and the week that begins then is a file of fixtures beside it.

    Example: ossature predict simulate --seed 7 --seasons 4 --out simulated
    """
    needed("numpy", "polars")
    from ossature.services.predict.domain.simulate import World, league_from  # noqa: PLC0415 - loads numpy
    from ossature.services.predict.domain.simulate import simulate as simulated  # noqa: PLC0415 - likewise
    from ossature.services.predict.providers.matches_odds import write_fixtures, write_folder  # noqa: PLC0415 - likewise

    if form != "matches_odds":
        raise typer.BadParameter("matches_odds is the only format so far", param_hint="--format")
    if teams % 2:
        raise typer.BadParameter("a division has an even number of teams", param_hint="--teams")
    world, name = World(seed=seed, seasons=seasons, leagues=leagues, teams=teams), f"simulated_{seed}"
    if following is None:
        typer.echo(str(write_folder(simulated(world), out, name=name)))
        return
    first = _day(following)
    rows, _ = league_from(world, first, teams // 2)
    week = [row for row in rows if first <= row["date"] < first + timedelta(days=7)]
    typer.echo(str(write_folder([row for row in rows if row["date"] < first], out, name=name)))
    typer.echo(str(write_fixtures(week, out, name=name)))


def _replayed(data: Path, request: "Request", out: Path, *, report: Path | None, quiet: bool) -> dict[str, Any]:
    from ossature.services.predict.domain.calendar import RefitUnknown, fit_days  # noqa: PLC0415 - with its neighbours
    from ossature.services.predict.domain.native import NATIVE  # noqa: PLC0415 - loads numpy
    from ossature.services.predict.providers.matches_odds import read_folder, read_internationals  # noqa: PLC0415
    from ossature.services.predict.usecases import replay as replays  # noqa: PLC0415 - likewise
    from ossature.services.predict.usecases.evaluate import evaluate as evaluated  # noqa: PLC0415 - likewise

    if not NATIVE and not quiet:
        typer.echo("numba is not installed (extra `predict`): everything takes many times as long.", err=True)
    try:
        fit_days(request.first, request.last, request.refit)
    except RefitUnknown as problem:
        raise typer.BadParameter(str(problem), param_hint="--refit") from problem
    try:
        histories = [read_folder(data)]
        if "international" in request.kinds:
            histories.append(read_internationals(data))
        summary, rows = replays.replay(histories, request, out)
    except InvalidInput as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(_INVALID) from problem
    if report is not None:
        report.write_text(json.dumps(evaluated(histories[0], rows), indent=1), encoding="utf-8")
    return summary


def _day(at: datetime) -> date:
    return at.replace(tzinfo=UTC).date()


def _chosen(name: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an option with commas, in the order of `allowed`. Raises: BadParameter, naming what is allowed."""
    wanted = [part for part in text.split(",") if part]
    unknown = [part for part in wanted if part not in allowed]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(allowed)}", param_hint=f"--{name}")
    return tuple(one for one in allowed if one in wanted) if wanted else allowed
