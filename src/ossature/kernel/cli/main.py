"""The command `ossature`: its verbs, its global options, its exit codes.

0: done. 1: something was found, or it failed. 2: it was called wrongly. (`sync` has more, see there.)
Only the module of the verb that is asked for is imported, be it of the kernel or of a service, and services only when that
verb needs them, so that help comes at once.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from ossature.kernel.cli.session import Session
from ossature.kernel.errors import Problem

if TYPE_CHECKING:
    from ossature.kernel.service import Service

FAILED, USAGE = 1, 2
_FLAGS = ("--json", "--debug")
_OPTIONS = ("--server", "--key")


class Verb(NamedTuple):
    """One verb: the module below `ossature.kernel.cli` that has it as `app`, its line in the help, its heading."""

    module: str
    help: str
    panel: str


RUN, DATA, LOOK, WORK = "Run", "Database", "Look", "Work"
VERBS = {
    "up": Verb("up", "Run everything in one process; migrates first. --demo fills it with living data.", RUN),
    "serve": Verb("serve", "Run web processes that share one socket.", RUN),
    "worker": Verb("worker", "Run jobs.", RUN),
    "scheduler": Verb("scheduler", "Start scheduled jobs when they are due.", RUN),
    "sim": Verb("sim", "Run the simulator of outside systems.", RUN),
    "migrate": Verb("migrate", "Move the database along its history, or look at it.", DATA),
    "db": Verb("db", "What is in the database, and what it is slow at.", DATA),
    "backup": Verb("backup", "Back up, prove backups, restore.", DATA),
    "drill": Verb("drill", "Hold an emergency as an exercise, and write a report.", DATA),
    "doctor": Verb("doctor", "Check everything and say what to do about it.", LOOK),
    "settings": Verb("settings", "All settings with their sources; secrets are never shown.", LOOK),
    "routes": Verb("routes", "All routes with the permission that each needs.", LOOK),
    "rules": Verb("rules", "Service levels and alerts, as rules of Prometheus.", LOOK),
    "dashboards": Verb("dashboards", "Dashboards of Grafana, from what services declare.", LOOK),
    "logs": Verb("logs", "Read log lines of a file or of a pipe.", LOOK),
    "new": Verb("new", "Write the skeleton of a service or of a provider.", WORK),
    "admin-key": Verb("admin", "Print a new administrator's key, for whoever lost the first.", DATA),
    "version": Verb("version", "Versions of the product and of what it runs on.", LOOK),
    "jobs": Verb("jobs", "Look at jobs; cancel, retry, run them.", WORK),
    "schedules": Verb("schedules", "Look at schedules; run one now.", WORK),
    "cache": Verb("cache", "Look at caches; clear or invalidate them.", WORK),
    "audit": Verb("audit", "Prove that the audit trail is as it was written.", WORK),
    "keys": Verb("keys", "Look at the key ring; turn it; seal old values anew.", WORK),
    "secrets": Verb("secrets", "Move secrets to a Vault or to AWS; replace one there.", WORK),
    "webhooks": Verb("webhooks", "Send a test event to an endpoint.", WORK),
}


class _Deferred(TyperCommand):
    """A verb that is known by its line in the help; what it does is imported when it is called."""

    def __init__(self, name: str, verb: Verb, load: Callable[[], Any]) -> None:
        super().__init__(name, callback=None, help=verb.help, rich_help_panel=verb.panel)
        self._load = load

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - Typer's own types are private
        """The context of the real command."""
        return self._load().make_context(info_name, args, parent=parent, **extra)


class Verbs(TyperGroup):
    """The verbs of the kernel, and behind them those of the services, by their names."""

    of_service: Callable[[str], typer.Typer | None]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own types are private
        """The verbs in the order of the help. Those of services follow it in a line of their own."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - Typer's own types are private
        """A verb; of a service, if the kernel has none of that name."""
        del ctx
        verb = VERBS.get(cmd_name)
        if verb is not None:
            return _Deferred(cmd_name, verb, lambda: _command(import_module(f"ossature.kernel.cli.{verb.module}").app))
        found = self.of_service(cmd_name)
        return None if found is None else _command(found)


def _command(app: typer.Typer) -> Any:  # noqa: ANN401 - Typer's own types are private
    return typer.main.get_command(app)


def run(
    services: Callable[[], Sequence["Service"]] | Sequence["Service"],
    argv: Sequence[str],
    *,
    commands: Callable[[str], typer.Typer | None] | None = None,
) -> int:
    """Do what the command line says; the exit code.

    services: what the product consists of, or a function that gives it and is called only if a verb needs it.
    commands: gives the verbs of a service by its name, without loading that service; None asks the services themselves.
    """
    load = services if callable(services) else lambda: services
    find = commands or (lambda name: next((one.commands for one in load() if one.name == name), None))
    arguments = _hoisted(argv)
    debug = "--debug" in arguments
    if not debug:
        sys.excepthook = _briefly
    try:
        _command(_app(load, find)).main(args=arguments, prog_name="ossature")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else FAILED if left.code else 0
    except Problem as problem:
        if debug:
            raise
        _say(problem.detail or problem.title, problem)
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    return 0


def _app(load: Callable[[], Sequence["Service"]], find: Callable[[str], typer.Typer | None]) -> typer.Typer:
    group = type("Verbs", (Verbs,), {"of_service": staticmethod(find)})
    app = typer.Typer(
        cls=group,
        no_args_is_help=True,
        rich_markup_mode="rich",
        epilog="Each service has verbs of its own: [bold]ossature hub --help[/]. Start here: [bold]ossature up --demo[/]",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(  # the function's docstring is the help of the command
        ctx: typer.Context,
        *,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug lines.")] = False,
        server: Annotated[str, typer.Option("--server", metavar="URL", help="Ask a server, not this machine.")] = "",
        key: Annotated[str, typer.Option("--key", envvar="OSSATURE_KEY", help="API key for --server.")] = "",
    ) -> None:
        """One production backbone for backends that live on other people's APIs and data."""
        ctx.obj = Session(load, as_json=as_json, debug=debug, server=server, key=key)

    return app


def _hoisted(argv: Sequence[str]) -> list[str]:
    """The arguments with the global options first, wherever they were written; what follows `--` stays as it is."""
    first: list[str] = []
    rest: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--":
            rest.append(argument)
            rest.extend(arguments)
        elif argument in _FLAGS or argument.startswith(tuple(f"{option}=" for option in _OPTIONS)):
            first.append(argument)
        elif argument in _OPTIONS:
            first.extend([argument, *([following] if (following := next(arguments, None)) is not None else [])])
        else:
            rest.append(argument)
    return [*first, *rest]


def _say(text: str, problem: Problem) -> None:
    lines = [f"ossature: {text}", *(f"  {error.pointer}: {error.message}" for error in problem.errors)]
    typer.echo("\n".join(lines), err=True)


def _briefly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """One line instead of a traceback, for people who cannot do anything with one."""
    del trace
    typer.echo(f"ossature: {kind.__name__}: {error}\nRun it again with --debug for the whole story.", err=True)
