"""Every module can be the first that is imported, and the product starts quickly."""

import subprocess
import sys

import pytest

from ossature.app import commands, services
from tests.house.places import dotted, modules

MOST_MODULES = 2_200
# Everything that `up` needs before it opens anything.
PRODUCT = "import ossature.kernel.house, ossature.kernel.cli.up; from ossature.app import services; services()"

# Imports one module per child process, forked from a parent that has loaded libraries only and nothing of ours.
ZYGOTE = """
import importlib, os, sys, traceback
for library in ("fastapi", "sqlalchemy.ext.asyncio", "aiohttp", "prometheus_client", "structlog", "typer"):
    importlib.import_module(library)
failed = 0
for name in sys.stdin.read().split():
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            print(name, file=sys.stderr)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    failed += os.waitpid(child, 0)[1] != 0
sys.exit(failed != 0)
"""


def _names() -> str:
    return " ".join(dotted(path) for path in modules() if "__main__" not in path.name)


def test_every_module_is_importable() -> None:
    # One process is enough day by day: nothing imports in circles (a contract of `make check`), so what a module needs
    # has been imported whole when its own lines run, whoever asked first. FULL=1 tries each of them alone all the same.
    code = "import importlib, sys\nfor name in sys.stdin.read().split(): importlib.import_module(name)"

    result = subprocess.run([sys.executable, "-c", code], input=_names(), capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr[-4000:]


@pytest.mark.slow
def test_every_module_is_importable_alone() -> None:
    result = subprocess.run([sys.executable, "-c", ZYGOTE], input=_names(), capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr[-4000:]


def test_importing_the_product_stays_within_its_budget() -> None:
    # How long it takes is measured by `python -m bench kernel-start`; here a library that came in unnoticed is found.
    code = f"import sys; {PRODUCT}; print(len(sys.modules))"

    loaded = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert 500 < loaded < MOST_MODULES


def test_importing_the_product_loads_no_optional_library() -> None:
    heavy = "nicegui granian asyncpg redis taskiq numpy matplotlib playwright openai"
    code = f"import sys; {PRODUCT}; print(*[m for m in '{heavy}'.split() if m in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert loaded == []


def test_the_verbs_of_a_service_are_there_without_the_service() -> None:
    # `ossature sync --help` comes at once: what a verb does is imported when it is called.
    heavy = "sqlalchemy fastapi starlette pydantic aiohttp"
    names = [service.name for service in services() if service.commands is not None]
    code = f"""import sys
from ossature.app import commands
for name in {names}:
    commands(name)
    print(*[module for module in '{heavy}'.split() if module in sys.modules])"""

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert names
    assert loaded == []


def test_the_command_finds_the_verbs_that_a_service_brings() -> None:
    assert [commands(service.name) for service in services()] == [service.commands for service in services()]
    assert commands("nobody") is None
