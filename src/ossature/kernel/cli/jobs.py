"""`ossature jobs`: what is waiting, running, dead; cancel, retry, run."""

from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from ossature.kernel.cli import remote
from ossature.kernel.cli.session import Session
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.errors import InvalidInput
from ossature.kernel.jobs import store
from ossature.kernel.jobs.domain import JobView, State, UnknownJob
from ossature.kernel.jobs.queue import Jobs

app = typer.Typer(no_args_is_help=True, help="Look at jobs; cancel, retry, run them.")

JobId = Annotated[UUID, typer.Argument(help="The job's id.")]
_COLUMNS = ("id", "name", "queue", "state", "attempt", "failures", "percent", "run_at", "error")


def _row(view: JobView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in JobView.__slots__}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in _COLUMNS}


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    *,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those of this name, such as hub.refresh.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only those of this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the latest first.")] = 50,
) -> None:
    """Jobs of all tenants, the latest first.

    Example: ossature jobs list --state dead
    """
    session = Session.of(ctx)

    async def work() -> list[dict[str, Any]]:
        if session.server:
            asked = {"state": state, "name": name, "queue": queue, "limit": limit}
            query = {key: str(value) for key, value in asked.items() if value is not None}
            items: list[dict[str, Any]] = (await remote.call(session, "GET", "/v1/jobs", query))["items"]
            return items
        async with session.house() as house, house.database.begin() as db:
            views = await house.jobs.list(db, None, state=state, name=name, queue=queue, limit=limit)
        return [_row(view) for view in views]

    rows = session.run(work())
    session.out.table(rows if session.out.as_json else [_short(row) for row in rows], empty="No such job.")


@app.command()
def show(ctx: typer.Context, job_id: JobId) -> None:
    """Everything about one job.

    Example: ossature jobs show 0190b5d7-...
    """
    _one(ctx, job_id, "")


@app.command()
def cancel(ctx: typer.Context, job_id: JobId) -> None:
    """Stop a job: at once if it waits, within about a second if it runs.

    Example: ossature jobs cancel 0190b5d7-...
    """
    _one(ctx, job_id, "cancel")


@app.command()
def retry(ctx: typer.Context, job_id: JobId) -> None:
    """Run a dead or cancelled job again, by the same id.

    Example: ossature jobs retry 0190b5d7-...
    """
    _one(ctx, job_id, "retry")


def _one(ctx: typer.Context, job_id: UUID, verb: str) -> None:
    session = Session.of(ctx)

    async def work() -> dict[str, Any]:
        if session.server:
            path = f"/v1/jobs/{job_id}"
            answer = remote.call(session, "POST", f"{path}/{verb}") if verb else remote.call(session, "GET", path)
            found: dict[str, Any] = await answer
            return found
        async with session.house() as house, house.database.begin() as db:
            tenant_id = await store.owner(db, job_id)
            call = getattr(Jobs, verb or "get")
            return _row(await call(house.jobs, db, tenant_id or SYSTEM_TENANT_ID, job_id))

    row = session.run(work())
    session.out.value(row, "\n".join(f"{name:<12} {value}" for name, value in row.items() if value is not None))


@app.command()
def run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The job's name, such as hub.refresh.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="name=value; a value is JSON, or else a text.")] = None,
) -> None:
    """Enqueue a job for the house itself; a worker runs it.

    Example: ossature jobs run hub.refresh provider=open_meteo
    """
    session = Session.of(ctx)

    async def work() -> UUID:
        async with session.house() as house, house.database.begin() as db:
            job = house.jobs.registry.get(name)
            if job is None:
                raise UnknownJob(f"No job is called {name!r}. There are: {', '.join(sorted(house.jobs.registry))}.")
            return await house.jobs.enqueue(db, job, _arguments(arguments or []), tenant_id=SYSTEM_TENANT_ID)

    job_id = session.run(work())
    session.out.value({"id": str(job_id)}, f"{job_id}\nossature jobs show {job_id}")


def _arguments(texts: list[str]) -> dict[str, Any]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"{text!r}: write name=value.")
        try:
            found[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            found[name] = value
    return found
