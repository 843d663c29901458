"""`make check`: every gate that needs no running server, one line each, and all of them even when one fails.

Gates run side by side, as many as there are cores. `--fast` leaves out what takes long (the hook before a commit); a gate
that cannot be had here says so in one line, and holds.
"""

import argparse
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ADVISORIES = ("api.osv.dev", 443)
PATTERNS = "tests/house/patterns/sgconfig.yml"
SCHEMA = "check-jsonschema --builtin-schema vendor"
LOCKED = "--require-hashes -r requirements.lock"


def _hadolint() -> str:
    return "" if (BIN / "hadolint").exists() else "hadolint is packaged for Linux on x86-64 only"


def _advisories() -> str:
    try:
        socket.create_connection(ADVISORIES, timeout=3).close()
    except OSError:
        return f"{ADVISORIES[0]} cannot be reached from here"
    return ""


def _always() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that must hold. missing: says why it cannot be looked at here, or nothing."""

    name: str
    command: str
    fast: bool = True
    missing: Callable[[], str] = _always


# The slow ones first, so that the quick ones fill the gaps.
GATES = (
    Gate("laws", "pytest -q -m 'law and not slow' tests/house", fast=False),
    Gate("types", "mypy", fast=False),
    Gate("docs", "mkdocs build --quiet --strict --site-dir build/site", fast=False),
    Gate("advisories", f"pip-audit -s osv --disable-pip {LOCKED}", fast=False, missing=_advisories),
    Gate("security", "bandit -q -c pyproject.toml -r src", fast=False),
    Gate("contracts", "lint-imports"),
    Gate("dead code", "vulture src tests/house/vulture_allowed.py --min-confidence 80", fast=False),
    Gate("lint", "ruff check --quiet ."),
    Gate("format", "ruff format --check --quiet ."),
    Gate("C++ format", "clang-format --dry-run --Werror packages/darp/kernel/*.cpp packages/darp/kernel/*.hpp"),
    Gate("patterns", f"ast-grep scan --config {PATTERNS} --error src"),
    Gate("pattern tests", f"ast-grep test --config {PATTERNS} --skip-snapshot-tests"),
    Gate("spelling", "codespell src packages docs tests README.md CHANGELOG.md deploy bench"),
    Gate("yaml", "yamllint -s deploy .github .gitlab-ci.yml"),
    Gate("compose", f"{SCHEMA}.compose-spec deploy/compose/*.yaml deploy/vault/compose.yaml"),
    Gate("workflows", f"{SCHEMA}.github-workflows .github/workflows/*.yml"),
    Gate("gitlab", f"{SCHEMA}.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml"),
    Gate("scripts", "shellcheck .ci/run deploy/**/*.sh"),
    Gate("image", "hadolint deploy/docker/Dockerfile", missing=_hadolint),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a gate went. said: its words when it failed, `None` when it holds."""

    gate: Gate
    verdict: str
    took_s: float
    said: str | None = None


def _files(word: str) -> list[str]:
    """The files that a pattern stands for, else the word itself."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(word)) if "*" in word else [word]


def look(gate: Gate) -> Outcome:
    """Run one gate."""
    if reason := gate.missing():
        return Outcome(gate, f"skipped: {reason}", 0)
    started_s = time.perf_counter()
    program, *arguments = (one for word in shlex.split(gate.command) for one in _files(word))
    done = subprocess.run([BIN / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - started_s
    if done.returncode:
        return Outcome(gate, "FAILED", took_s, done.stdout[-6000:] + done.stderr[-3000:])
    return Outcome(gate, "ok", took_s)


def main() -> int:
    """Run every gate; 0 when all hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="only what takes seconds")
    only_fast = parser.parse_args().fast
    wanted = [gate for gate in GATES if gate.fast or not only_fast]
    started_s = time.perf_counter()
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for ended in as_completed([pool.submit(look, gate) for gate in wanted]):
            outcome = ended.result()
            print(f"{outcome.gate.name:<14} {outcome.took_s:6.1f} s  {outcome.verdict}", flush=True)
            if outcome.said is not None:
                failed.append(outcome.gate.name)
                print(outcome.said, flush=True)
    print(f"{'together':<14} {time.perf_counter() - started_s:6.1f} s  {f'failed: {failed}' if failed else 'all hold'}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
