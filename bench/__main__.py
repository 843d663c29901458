"""`python -m bench NAME --json [--quick]`: run a bench; without a name, list them.

A bench is a file of this folder with a function `run(quick)`; in names `-` and `_` are the same. `setup` installs the
peers of those that have any. The last line of the output is the result as one JSON object.
"""

import argparse
import ast
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bench import report, result

_FOLDER = Path(__file__).parent


def benches() -> dict[str, str]:
    """Every bench with the first line of what it says of itself; no module is imported for it."""
    found = {}
    for path in sorted(_FOLDER.glob("[!_]*.py")):
        module = ast.parse(path.read_text())
        name = path.stem.replace("_", "-")
        if _has(module, "run"):
            says = (ast.get_docstring(module) or "").partition("\n")[0]
            found[name] = says.removeprefix(f"`{name}`: ")
    return found


def _has(module: ast.Module, function: str) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in module.body)


def run(name: str, *, quick: bool) -> dict[str, Any]:
    """Run one bench and keep what it found."""
    load_before = os.getloadavg()[0]
    module = importlib.import_module(f"bench.{name.replace('-', '_')}")
    found = result.completed(name, module.run(quick=quick), load_before=load_before, quick=quick)
    result.keep(found)
    return found


def set_up(names: list[str]) -> None:
    """Install what benches compare with, outside of this environment."""
    for name in names:
        module = importlib.import_module(f"bench.{name.replace('-', '_')}")
        if hasattr(module, "setup"):
            print(f"{name}: setting up")
            module.setup()


def _show(found: Mapping[str, Any]) -> None:
    for name, value in found["metrics"].items():
        target = found["targets"].get(name, "")
        print(f"  {name:<44} {value!s:>14}   {target or ''}")
    for reason in found["missed"]:
        print(f"  missed: {reason}")
    if not found["environment"]["valid"]:
        print("  this run's own control failed: its figures say little")
    print(f"  {'ok' if found['ok'] else 'not ok'}")


def main() -> int:
    """Exit code: 0 all ok, 1 a target was missed, 2 no such bench."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, instead of believing.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a bench, `all`, `setup` or `report`; none lists them")
    parser.add_argument("--quick", action="store_true", help="a short run")
    parser.add_argument("--json", action="store_true", help="print only the result, one JSON object per bench")
    asked = parser.parse_args()
    # What is installed has its modules compiled: so have the processes that a bench starts.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    known = benches()
    names = [name.replace("_", "-") for name in asked.names]
    if not names:
        for name, says in known.items():
            print(f"{name:<20} {says}")
        return 0
    if names == ["report"]:
        print(report.write())
        return 0
    setting_up = names[0] == "setup"
    names = names[1:] if setting_up else names
    names = list(known) if names == ["all"] or (setting_up and not names) else names
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    if setting_up:
        set_up(names)
        return 0
    failed = False
    for name in names:
        found = run(name, quick=asked.quick)
        failed |= not found["ok"]
        if not asked.json:
            print(name)
            _show(found)
        print(orjson.dumps(found).decode(), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
