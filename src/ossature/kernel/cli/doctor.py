"""`ossature doctor`: is everything well, and what to do if not."""

from typing import Any

import typer
from sqlalchemy.exc import DBAPIError

from ossature.kernel.cli import remote
from ossature.kernel.cli.session import Session
from ossature.kernel.config import Config, Severity
from ossature.kernel.db import migrate
from ossature.kernel.db.checks import DATABASE
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.house import House
from ossature.kernel.observe.checks import MACHINE
from ossature.kernel.observe.health import inspect
from ossature.kernel.service import Check, Health

app = typer.Typer()


def checks_of(house: House) -> list[Check]:
    """Every check of an installation: machine, database, then what each service brings."""
    return [*MACHINE, *DATABASE, *(check for service in house.services for check in service.checks)]


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Check settings, database, disk, brokers and providers, with advice. Exit code 1 if something is wrong.

    Example: ossature doctor
    """
    session = Session.of(ctx)

    async def ask_server() -> list[dict[str, Any]]:
        found = await remote.call(session, "GET", "/health/detailed")
        return [
            {
                "check": one["name"],
                "state": one["status"],
                "ms": one["latency_ms"],
                "detail": one["detail"],
                "advice": one["advice"],
            }
            for one in found["components"]
        ]

    with session.out.working("Looking ..."):
        rows = session.run(ask_server() if session.server else _look(session))
    session.out.table(rows)
    if any(row["state"] == Health.DOWN.value for row in rows):
        raise typer.Exit(1)


async def _look(session: Session) -> list[dict[str, Any]]:
    config, findings = Config.examine(settings_of(everybody(session.services)))
    rows: list[dict[str, Any]] = [
        {
            "check": finding.setting,
            "state": (Health.DOWN if finding.severity is Severity.ERROR else Health.DEGRADED).value,
            "ms": None,
            "detail": finding.wrong,
            "advice": finding.fix,
        }
        for finding in findings
    ]
    if any(finding.severity is Severity.ERROR for finding in findings):
        return rows
    rows.append({"check": "settings", "state": Health.OK.value, "ms": None, "detail": "", "advice": ""})
    session.log_to_terminal(config)
    try:
        async with House.open(session.services, config) as house:
            report = await inspect(checks_of(house), house)
    except DBAPIError as error:
        async with session.database() as database:
            if await migrate.current(database) is not None:
                raise
        detail = f"The database has no tables yet: {error.orig}."
        advice = "Run: ossature migrate up"
        return [
            *rows,
            {"check": "migrations", "state": Health.DOWN.value, "ms": None, "detail": detail, "advice": advice},
        ]
    for found in report.findings:
        facts = ", ".join(f"{name}={value}" for name, value in found.facts.items())
        rows.append(
            {
                "check": found.name,
                "state": found.health.value,
                "ms": found.latency_ms,
                "detail": found.detail or facts,
                "advice": found.advice,
            }
        )
    return rows
