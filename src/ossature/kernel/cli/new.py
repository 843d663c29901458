"""`ossature new`: a working, tested skeleton of a service, or of a provider of one."""

import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer
from typer import Context

from ossature.kernel.cli.session import Session
from ossature.kernel.errors import Conflict, InvalidInput

app = typer.Typer(no_args_is_help=True)

TEMPLATES = Path(__file__).with_name("skeletons")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,40}")


class NameRefused(InvalidInput):
    """A service or provider is named in lower-case letters, digits and `_`, beginning with a letter."""

    title = "Name refused"


class AlreadyThere(Conflict):
    """A file that would be written exists; nothing was changed."""

    title = "Already there"


@app.command()
def service(ctx: Context, name: Annotated[str, typer.Argument(help="Such as invoices.")]) -> None:
    """Write a service with a table, a use case, routes and tests, and name it in `app.py`.

    Example: ossature new service invoices
    """
    session = Session.of(ctx)
    session.only_here()
    written = new_service(Path.cwd(), name)
    for path in written:
        session.out.remark(str(path))
    session.out.remark(f'Next: make revision m="Add {name}", then make test T=tests/services/{name}')


@app.command()
def provider(
    ctx: Context,
    service_name: Annotated[str, typer.Argument(metavar="SERVICE", help="The service that it answers for.")],
    name: Annotated[str, typer.Argument(help="Such as open_meteo, or weather/open_meteo in the folder of a category.")],
) -> None:
    """Write a provider with one operation, a fixture and a test, and list it in `providers/__init__.py`.

    Example: ossature new provider hub weather/acme_weather
    """
    session = Session.of(ctx)
    session.only_here()
    for path in new_provider(Path.cwd(), service_name, name):
        session.out.remark(str(path))
    session.out.remark(f"Next: make test T=tests/services/{service_name}")


def new_service(root: Path, name: str) -> list[Path]:
    """Write the files of a service below a checkout; their paths. Raises: NameRefused, AlreadyThere."""
    _checked(name)
    written = _render("service", root, {"name": name, "title": _title(name), "class_name": _class_name(name)})
    _add_to_app(root / "src/ossature/app.py", name)
    return written


def new_provider(root: Path, service_name: str, name: str) -> list[Path]:
    """Write the files of a provider below a checkout; their paths. name: `NAME`, or `CATEGORY/NAME`.

    Raises: NameRefused, AlreadyThere, InvalidInput.
    """
    category, slash, name = name.rpartition("/")
    for each in (category, name) if slash else (name,):
        _checked(each)
    folder = root / "src/ossature/services" / service_name
    if not folder.is_dir():
        raise InvalidInput(f"There is no service {service_name!r} in {folder.parent}.")
    home = f"providers.{category}" if category else "providers"
    values = {
        "service": service_name,
        "home": home,
        "name": name,
        "title": _title(name),
        "class_name": _class_name(name),
    }
    written = _render("provider", root, values)
    if category:
        (folder / "providers" / category / "__init__.py").touch()
    _add_to_tuple(folder / "providers" / "__init__.py", f"ossature.services.{service_name}.{home}", name)
    return written


def _checked(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NameRefused(f"{name!r}: lower-case letters, digits and _, beginning with a letter.")


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _render(kind: str, root: Path, values: dict[str, str]) -> list[Path]:
    """Fill every template of a folder; a template's path below it is, filled, the path below the checkout."""
    folder = TEMPLATES / kind
    planned = {}
    for template in sorted(folder.rglob("*.tmpl")):
        place = str(template.relative_to(folder)).removesuffix(".tmpl")
        place = place.replace("__service", values.get("service", "")).replace("__name", values["name"])
        place = place.replace("__home", values.get("home", "").replace(".", "/"))
        planned[root / place] = Template(template.read_text()).substitute(values)
    existing = [str(path) for path in planned if path.exists() and path.stat().st_size]
    if existing:
        raise AlreadyThere(", ".join(existing))
    for path, content in planned.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return list(planned)


def _add_to_app(path: Path, name: str) -> None:
    """Name the service in `services()` of `app.py`."""
    text = path.read_text()
    line = f"    from ossature.services.{name}.service import service as {name}  # noqa: PLC0415\n"
    tuple_line = re.search(r"^    return \((.*)\)$", text, re.MULTILINE)
    if tuple_line is None:
        raise InvalidInput(f"{path} has no line `return (...)` in services(): add {name} by hand.")
    names = [part.strip() for part in tuple_line[1].split(",") if part.strip()]
    before, after = text[: tuple_line.start()].rstrip("\n"), text[tuple_line.end() :]
    path.write_text(f"{before}\n{line}\n    return ({', '.join([*names, name])}){after}")


def _add_to_tuple(path: Path, home: str, name: str) -> None:
    """List the provider in `PROVIDERS`, its import beside those of the same home; makes the file where there is none."""
    line = f"from {home} import {name}\n"
    if not path.exists() or not path.read_text().strip():
        path.write_text(
            '"""Every provider, by hand."""\n\nfrom ossature.kernel.outbound.provider import Provider\n'
            f"{line}\nPROVIDERS: tuple[Provider, ...] = ({name}.provider,)\n"
        )
        return
    text = path.read_text()
    beside = re.search(rf"^from {re.escape(home)} import (.+)\n", text, re.MULTILINE)
    if beside is not None:
        names = ", ".join(sorted([*beside[1].split(", "), name]))
        text = text.replace(beside[0], f"from {home} import {names}\n")
    else:
        lines = re.findall(r"^from .+ import .+\n", text, re.MULTILINE)
        after = max((each for each in lines if each < line), default=lines[0])
        text = text.replace(after, after + line, 1)
    path.write_text(re.sub(r"\n\)\n?$", f"\n    {name}.provider,\n)\n", text.rstrip("\n") + "\n"))
