"""`ossature version`."""

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from ossature.kernel.cli.session import Session

app = typer.Typer()

_SHOWN = ("ossature", "fastapi", "starlette", "uvicorn", "granian", "sqlalchemy", "alembic", "pydantic", "aiohttp")


@app.command("version")
def show(ctx: typer.Context) -> None:
    """Versions of the product and of what it runs on.

    Example: ossature version --json
    """
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in _SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    text = "\n".join(f"{name:<12} {found[name]}" for name in (*_SHOWN, "python", "platform"))
    Session.of(ctx).out.value(found, text)
