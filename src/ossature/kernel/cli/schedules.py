"""`ossature schedules`: what runs when; run one now."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ossature.kernel.cli import remote
from ossature.kernel.cli.session import Session
from ossature.kernel.jobs.domain import ScheduleView
from ossature.kernel.jobs.schedule import list_schedules, run_now

app = typer.Typer(no_args_is_help=True, help="Look at schedules; run one now.")


@app.command("list")
def show(ctx: typer.Context) -> None:
    """Every schedule with its next run; known once a scheduler has run.

    Example: ossature schedules list
    """
    session = Session.of(ctx)

    async def work() -> list[dict[str, Any]]:
        if session.server:
            items: list[dict[str, Any]] = (await remote.call(session, "GET", "/v1/schedules"))["items"]
            return items
        async with session.house() as house, house.database.begin() as db:
            views = await list_schedules(db)
        return [{name: getattr(view, name) for name in ScheduleView.__slots__} for view in views]

    session.out.table(session.run(work()), empty="No scheduler has run yet.")


@app.command()
def run(ctx: typer.Context, name: Annotated[str, typer.Argument(help="The schedule's name.")]) -> None:
    """Run a scheduled job now, besides its schedule.

    Example: ossature schedules run audit.anchor
    """
    session = Session.of(ctx)

    async def work() -> str:
        if session.server:
            answer = await remote.call(session, "POST", f"/v1/schedules/{quote(name)}/run")
            return str(answer.get("id") or answer.get("job_id"))
        async with session.house() as house, house.database.begin() as db:
            return str(await run_now(house.jobs, db, name))

    job_id = session.run(work())
    session.out.value({"id": job_id}, job_id)
