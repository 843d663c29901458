"""What the command answers, and with which exit code."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ossature.kernel.cli.main import VERBS, _hoisted, run
from ossature.kernel.cli.session import Session
from ossature.kernel.service import Service
from tests.kernel.cli.conftest import Ossature

CANARY = "canary-0f9e8d7c6b5a4321-PQRSTUVWXYZ"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(ossature: Ossature, verb: str) -> None:
    said = ossature(verb, "--help")

    assert said.code == 0
    if "COMMAND" not in said.out:
        assert f"Example: ossature {verb}" in " ".join(said.out.split())


def test_every_verb_of_a_group_has_an_example(ossature: Ossature) -> None:
    for group, verbs in {
        "migrate": "up down current history check revision",
        "jobs": "list show cancel retry run",
        "schedules": "list run",
        "cache": "stats clear invalidate",
        "audit": "verify",
        "webhooks": "test",
        "keys": "list rotate reencrypt new",
        "secrets": "migrate rotate",
        "logs": "tail",
        "db": "report",
        "backup": "create list verify restore drill",
        "drill": "restore",
    }.items():
        for verb in verbs.split():
            text = ossature(group, verb, "--help").out
            assert f"ossature {group} {verb}" in " ".join(text.split("Example:")[1].split()) or "| ossature" in text


def test_help_imports_nothing_that_only_work_needs() -> None:
    code = (
        "import sys\n"
        "from ossature.kernel.cli.main import run\n"
        "run(lambda: 1 / 0, ['--help'])\n"
        "print(*[m for m in ('fastapi', 'sqlalchemy', 'pydantic', 'aiohttp', 'alembic', 'structlog') if m in sys.modules], file=sys.stderr)"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "One production backbone" in ended.stdout
    assert ended.stderr.split() == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["version"], 0),
        ([], 2),
        (["nonsense"], 2),
        (["jobs", "show", "not-an-id"], 2),
        (["serve", "--port", "70000"], 2),
        (["logs", "tail", "--level", "loud"], 2),
    ],
)
def test_exit_codes_tell_done_from_wrong_use(ossature: Ossature, arguments: list[str], code: int) -> None:
    assert ossature(*arguments).code == code


def test_global_options_may_stand_anywhere() -> None:
    assert _hoisted(["jobs", "list", "--json", "--server", "http://x", "--key=k", "--", "--debug"]) == [
        "--json", "--server", "http://x", "--key=k", "jobs", "list", "--", "--debug",
    ]  # fmt: skip


@pytest.mark.usefixtures("at_home")
def test_a_refusal_is_one_line_and_exit_code_1(ossature: Ossature) -> None:
    said = ossature("jobs", "show", "0190b5d7-3b9c-7aaa-8000-1234567890ab")

    assert (said.code, said.out) == (1, "")
    assert said.err.strip().splitlines() == ["ossature: Job not found"]


def test_an_unexpected_error_shows_its_traceback_only_with_debug() -> None:
    code = "import sys; from ossature.kernel.cli.main import run; run(lambda: 1 / 0, sys.argv[1:])"
    ended = [
        subprocess.run([sys.executable, "-c", code, "hub", *more], capture_output=True, text=True, check=False)
        for more in ([], ["--debug"])
    ]

    assert [one.returncode for one in ended] == [1, 1]
    assert "ossature: ZeroDivisionError: division by zero" in ended[0].stderr
    assert ["Traceback" in one.stderr for one in ended] == [False, True]


@pytest.mark.usefixtures("at_home")
def test_settings_are_shown_with_their_sources_and_without_secrets(
    ossature: Ossature, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSSATURE_SECRET_KEY", CANARY)
    monkeypatch.setenv("OSSATURE_REDIS_URL", f"redis://:{CANARY}@127.0.0.1:6379/0")
    monkeypatch.setenv("OSSATURE_DATABASE_SYSTEM_URL", f"postgresql+asyncpg://me:{CANARY}@db/x")

    said = ossature("settings", "--json")

    assert said.code == 0
    assert CANARY not in said.out + said.err
    shown = {row["setting"]: (row["value"], row["source"]) for row in said.json}  # type: ignore[attr-defined]
    assert shown["OSSATURE_SECRET_KEY"] == ("********", "environment")
    assert shown["OSSATURE_WORKERS"] == ("4", "default")


@pytest.mark.usefixtures("at_home")
def test_wrong_settings_are_found_by_settings_and_doctor(ossature: Ossature, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSSATURE_WORKERS", "many")

    settings, doctor = ossature("settings"), ossature("doctor", "--json")

    assert (settings.code, doctor.code) == (1, 1)
    assert "OSSATURE_WORKERS" in settings.err
    assert [row["check"] for row in doctor.json] == ["OSSATURE_WORKERS"]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("at_home")
def test_the_doctor_looks_at_everything_and_keeps_secrets(ossature: Ossature, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSSATURE_SECRET_KEY", CANARY)

    said = ossature("doctor", "--json")

    states = {row["check"]: row["state"] for row in said.json}  # type: ignore[attr-defined]
    assert states.keys() >= {"settings", "disk", "clock", "database", "migrations"}
    assert states["database"] == "ok"
    assert said.code == (1 if "down" in states.values() else 0)
    assert CANARY not in said.out + said.err


def test_where_nothing_was_migrated_the_doctor_says_what_to_do(
    ossature: Ossature, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSSATURE_DATABASE_URL", f"sqlite:///{at_home}/new.db")

    said = ossature("doctor", "--json")

    (row,) = (row for row in said.json if row["check"] == "migrations")  # type: ignore[attr-defined]
    assert (row["state"], row["advice"], said.code) == ("down", "Run: ossature migrate up", 1)


@pytest.mark.usefixtures("at_home")
def test_every_route_is_listed_with_what_it_needs(ossature: Ossature) -> None:
    rows = ossature("routes", "--json").json

    assert {"GET /v1/jobs read:jobs", "POST /v1/jobs/{job_id}/cancel cancel:jobs"} & {
        f"{row['methods']} {row['path']} {row['needs']}"
        for row in rows  # type: ignore[attr-defined]
    }


@pytest.mark.usefixtures("at_home")
def test_a_job_can_be_run_shown_cancelled_and_run_again(ossature: Ossature) -> None:
    job_id = ossature("jobs", "run", "audit.anchor_trails", "--json").json["id"]  # type: ignore[index]
    listed = ossature("jobs", "list", "--state", "queued", "--json").json
    cancelled = ossature("jobs", "cancel", job_id, "--json").json
    again = ossature("jobs", "retry", job_id, "--json").json
    shown = ossature("jobs", "show", job_id)

    assert [row["id"] for row in listed] == [job_id]  # type: ignore[attr-defined]
    assert cancelled["state"] == "cancelled"  # type: ignore[index]
    assert again["state"] == "queued"  # type: ignore[index]
    assert "audit.anchor_trails" in shown.out


@pytest.mark.usefixtures("at_home")
def test_an_unknown_job_is_named_with_those_that_there_are(ossature: Ossature) -> None:
    said = ossature("jobs", "run", "no.such")

    assert said.code == 1
    assert "audit.anchor_trails" in said.err


@pytest.mark.usefixtures("at_home")
def test_an_intact_trail_is_exit_code_0(ossature: Ossature) -> None:
    assert ossature("audit", "verify", "--json").code == 0


@pytest.mark.usefixtures("at_home")
def test_tables_are_counted(ossature: Ossature) -> None:
    rows = ossature("db", "report", "--json").json

    assert {row["table"]: row["rows"] for row in rows}["tenants_tenant"] == 1  # type: ignore[attr-defined]


def test_a_server_that_is_not_there_is_named(ossature: Ossature) -> None:
    said = ossature("jobs", "list", "--server", "http://127.0.0.1:1")

    assert said.code == 1
    assert said.err.startswith("ossature: http://127.0.0.1:1/v1/jobs:")


def test_a_verb_of_the_machine_cannot_be_sent_to_a_server(ossature: Ossature) -> None:
    assert "leave --server out" in ossature("migrate", "current", "--server", "http://127.0.0.1:1").err


def test_log_lines_are_chosen_and_made_readable(ossature: Ossature, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        '{"at":"2026-03-01T10:00:00Z","level":"info","event":"http.request","trace_id":"t1"}\n'
        "a line of another program\n"
        '{"at":"2026-03-01T10:00:01Z","level":"error","event":"job.failed","trace_id":"t1","job":"x.y"}\n'
    )

    errors = ossature("logs", "tail", str(log), "--level", "error", "--zone", "Europe/Zurich").out
    jobs = ossature("logs", "tail", str(log), "--event", "job.", "--json").out

    assert "11:00:01.000" in errors
    assert "job=" in errors.replace("\x1b", "")
    assert "http.request" not in errors
    assert "a line of another program" in errors
    assert jobs.splitlines()[-1].startswith('{"at":"2026-03-01T10:00:01Z"')


def test_log_lines_of_others_are_shown_as_they_are(ossature: Ossature, tmp_path: Path) -> None:
    lines = ['{"at": "noon", "level": "info", "event": "x"}', '{"at": "2026-03-01T12:00:00Z"}', "{} plain"]
    log = tmp_path / "mixed.log"
    log.write_text("\n".join(lines) + "\n")

    said = ossature("logs", "tail", str(log))

    assert (said.code, said.out.splitlines()) == (0, lines)


def test_a_service_has_verbs_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    verbs = typer.Typer()

    @verbs.callback()
    def group() -> None:
        """Verbs of the shop."""

    @verbs.command()
    def price(ctx: typer.Context, what: str) -> None:
        Session.of(ctx).out.value({"what": what, "price": 7}, "seven")

    shop = Service(name="shop", commands=verbs)

    assert run([shop], ["shop", "price", "bread", "--json"]) == 0
    assert '"price": 7' in capfd.readouterr().out
    assert run([shop], ["shop", "price", "bread"]) == 0
    assert capfd.readouterr().out == "seven\n"
    assert run([shop], ["bakery"]) == 2
