"""The generated pages of docs/reference: `python -m tests.house.references` writes them, `--check` says which are old.

They say what the code says: settings, kinds of problems, jobs, events, verbs, providers, and the OpenAPI document. A
law (`test_references`) fails when one of them was not written again after a change.
"""

import asyncio
import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
import tempfile
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import typer
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

import ossature
from ossature.app import services
from ossature.kernel.cli.main import VERBS
from ossature.kernel.config import Settings
from ossature.kernel.errors import Problem, catalogue
from ossature.kernel.events.catalogue import Catalogue
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.outbound.manifest import Limit, Price
from ossature.kernel.service import Every, Job, Service
from tests.house.places import ROOT

FOLDER = ROOT / "docs" / "reference"
COMMAND = "python -m tests.house.references"
_NOT_OURS = ("ossature.sim", "ossature.migrations")
_PLACEHOLDERS = re.compile(r"<(?!https?://)([a-z_]+)>")

_OF_EVERY_VERB = {"--help", "--install-completion", "--show-completion"}

Everybody = Sequence[Service]


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    import_everything()
    house = everybody(services())
    made = {name: _page(name, make(house)) for name, make in WRITERS.items()}
    return {**made, "openapi.json": asyncio.run(openapi())}


def import_everything() -> None:
    """Import every module of the product, so that all kinds of problems are known."""
    for module in pkgutil.walk_packages(ossature.__path__, "ossature."):
        if not module.name.startswith(_NOT_OURS) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


async def openapi() -> str:
    """The OpenAPI document of the whole product, as it is served."""
    from ossature.kernel.testing.houses import open_house

    with tempfile.TemporaryDirectory() as folder:
        async with open_house(*services(), var_dir=Path(folder)) as home, home.client(secret=None) as http:
            document = (await http.get("/openapi.json")).json()
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _deprecations(_: Everybody) -> Iterator[str]:
    yield "# What will go"
    yield ""
    yield "Answers of these routes say so: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), `Link`. `http_deprecated_requests_total` counts who uses them."
    document = orjson.loads(asyncio.run(openapi()))
    rows = [
        f"| `{method.upper()} {path}` | {one['x-deprecated-since']} | {one.get('x-sunset', '')} | {one.get('x-successor', '')} |"
        for path, item in sorted(document["paths"].items())
        for method, one in item.items()
        if isinstance(one, dict) and "x-deprecated-since" in one
    ]
    yield ""
    if rows:
        yield from ("| route | deprecated since | gone after | use instead |", "|---|---|---|---|", *rows)
    else:
        yield "Nothing is deprecated."


def _settings(house: Everybody) -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "From the environment, `.env`, or a TOML file; `ossature settings` shows where each value came from."
    for group in settings_of(house):
        if group.model_fields:
            yield from _group(group)


def _group(group: type[Settings]) -> Iterator[str]:
    yield from ("", f"## {group.room or 'ossature'}", "", _first_line(group), "")
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for name, field in group.model_fields.items():
        variable = group.variable(name)
        if name in group.open_fields:
            variable = f"{group.variable(group.open_fields[name].rstrip('_'))}_..."
        also = f" Also read from `{group.well_known[name]}`." if name in group.well_known else ""
        yield f"| `{variable}` | {_default(field.get_default(call_default_factory=True))} | {_cell(field.description)}{also} |"


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is PydanticUndefined:
        return "must be set"
    if value is None or value in ("", [], {}, (), frozenset()):
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple | frozenset) else str(value)
    return f"`{_cell(text)}`"


def _problems(_: Everybody) -> Iterator[str]:
    yield "# Problems"
    yield ""
    yield "Every refusal is a problem document (RFC 9457). Its `type` ends with the slug; the page is served at it too."
    for kind in sorted(_our_problems(), key=lambda kind: (kind.status, kind.slug)):
        retry = f" · try again after {kind.retry_after_s:g} s" if kind.retry_after_s else ""
        yield from ("", f"## {kind.slug}", "", f"{kind.status} {kind.title}{retry}", "")
        yield _placeholders(inspect.cleandoc(kind.__doc__ or ""))


def _our_problems() -> set[type[Problem]]:
    """The product's own; tests define some too."""
    return {kind for kind in catalogue() if kind.__module__.startswith("ossature.")}


def _jobs(house: Everybody) -> Iterator[str]:
    yield "# Jobs"
    yield ""
    yield "What runs outside of requests. `ossature jobs` and the console show those of the moment."
    for service in house:
        jobs = [*service.jobs, *(job for handlers in service.listens.values() for job in handlers)]
        if jobs:
            yield from (
                "",
                f"## {service.name}",
                "",
                "| job | when | attempts | time limit | what it does |",
                "|---|---|---|---|---|",
            )
            yield from (_job(job) for job in sorted(jobs, key=lambda job: job.name))


def _job(job: Job) -> str:
    when = _every(job.every) if job.every else "when it is enqueued"
    queue = "" if job.queue == "default" else f" (queue `{job.queue}`)"
    limit = "hours" if job.long else f"{job.time_limit_s:g} s"
    return f"| `{job.name}`{queue} | {when} | {job.attempts} | {limit} | {_cell(_first_line(job.run))} |"


def _every(every: Every) -> str:
    if every.interval is None:
        return f"`{every.cron}` {every.zone}"
    seconds = every.interval.total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"every {seconds / size:g} {unit}"
    return f"every {seconds:g} s"


def _events(house: Everybody) -> Iterator[str]:
    listening = Catalogue.of(house)
    yield "# Events"
    yield ""
    yield "Facts that are published with the transaction that made them true, and sent to webhooks by these names."
    for service in house:
        for fact in service.facts:
            yield from ("", f"## {fact.wire}", "", _placeholders(inspect.cleandoc(fact.type.__doc__ or "")), "")
            keyed = f", in order per `{fact.key}`" if fact.key else ""
            heard = ", ".join(f"`{job.name}`" for job in listening.listeners(fact.wire))
            yield f"From `{service.name}`, version {fact.version}{keyed}." + (f" Handled by {heard}." if heard else "")
            yield from ("", "| field | type |", "|---|---|")
            hints = typing.get_type_hints(fact.type)
            yield from (
                f"| `{field.name}` | `{_type_name(hints[field.name])}` |" for field in dataclasses.fields(fact.type)
            )


def _type_name(hint: Any) -> str:
    plain = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    return plain.replace("typing.", "").replace("|", "\\|")


def _verbs(house: Everybody) -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "`--json`, `--debug`, `--server URL` and `--key KEY` may stand anywhere after `ossature`."
    for name, verb in VERBS.items():
        app = importlib.import_module(f"ossature.kernel.cli.{verb.module}").app
        yield from _command(typer.main.get_command(app), f"ossature {name}")
    for service in house:
        if service.commands is not None:
            yield from _command(typer.main.get_command(service.commands), f"ossature {service.name}")


def _command(command: Any, name: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if children:
        for child in children:
            yield from _command(children[child], f"{name} {child}")
        return
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not getattr(one, "hidden", False)]
    words = " ".join(f"{one.name.upper()}{'...' if one.nargs == -1 else ''}" for one in arguments)
    yield from (
        "",
        f"## {name}",
        "",
        f"`{' '.join(filter(None, (name, words)))}`",
        "",
        _placeholders(inspect.cleandoc(command.help or "")),
    )
    rows = [f"| `{', '.join(one.opts)}` | {_cell(one.help)} |" for one in options if not _OF_EVERY_VERB & set(one.opts)]
    if rows:
        yield from ("", "| option | meaning |", "|---|---|", *rows)


def _providers(house: Everybody) -> Iterator[str]:
    yield "# Providers"
    yield ""
    yield "Outside systems, as their manifests describe them. Limits are marked by how they are known."
    for provider in sorted((one for service in house for one in service.providers), key=lambda one: one.id):
        manifest = provider.manifest
        yield from ("", f"## {provider.id}", "", f"{manifest.title}. {_placeholders(manifest.licence)}".strip(), "")
        yield f"- answers: {', '.join(f'`{name}`' for name in provider.operations)}"
        yield f"- address: `{manifest.base_url or manifest.transport}`; key: {manifest.auth.need}"
        yield from (f"- limit: {_limit(limit)}" for limit in manifest.limits)
        yield from (f"- price: {_price(price)}" for price in manifest.prices)
        if manifest.attribution:
            yield f"- attribution: {manifest.attribution}"
        yield from (f"- quirk: {_placeholders(quirk)}" for quirk in manifest.quirks)
        if manifest.docs:
            how = f" ({manifest.evidence.how}, {manifest.evidence.on})" if manifest.evidence else ""
            yield f"- documents: <{manifest.docs}>{how}"


def _limit(limit: Limit) -> str:
    window = limit.period or f"{limit.per_s:g} s"
    when = "" if limit.when == "always" else f", {limit.when}"
    return f"{limit.limit:,} {limit.unit} per {window} ({limit.kind}, per {limit.scope}{when}; {limit.evidence.replace('_', ' ')})"


def _price(price: Price) -> str:
    what = " ".join(filter(None, (price.operation, price.model)))
    return f"{price.microusd / 1_000_000:g} USD per {price.per:,} {price.unit}" + (f" ({what})" if what else "")


WRITERS: dict[str, Callable[[Everybody], Iterable[str]]] = {
    "settings.md": _settings,
    "problems.md": _problems,
    "jobs.md": _jobs,
    "events.md": _events,
    "cli.md": _verbs,
    "providers.md": _providers,
    "deprecations.md": _deprecations,
}


def _page(name: str, lines: Iterable[str]) -> str:
    title, *rest = lines
    text = "\n".join([title, "", f"<!-- {name} is written by `{COMMAND}`. -->", *rest])
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip() + "\n"


def _first_line(what: Any) -> str:
    return inspect.cleandoc(what.__doc__ or "").partition("\n")[0]


def _cell(text: str | None) -> str:
    """Text inside a table."""
    return _placeholders((text or "").replace("\n", " ").replace("|", "\\|"))


def _placeholders(text: str) -> str:
    """`<id>` would be taken for HTML."""
    return _PLACEHOLDERS.sub(r"&lt;\1&gt;", text)


def outdated() -> list[str]:
    """Names of the pages that do not say what the code says."""
    return [
        name for name, text in pages().items() if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text
    ]


def main() -> int:
    """Write the pages, or with `--check` name the old ones; 1 when there are some."""
    if "--check" in sys.argv[1:]:
        old = outdated()
        print("\n".join(old))
        return 1 if old else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
