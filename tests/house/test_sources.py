"""Laws that can be read off the text of the sources."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.house.places import ROOT, SOURCE, dotted, modules

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
# Longer than the limit, each with its reason. This list may only shrink.
LONG_FILES: dict[str, str] = {}

# Where work that is not ours to judge begins: what a request, a job, a child process, a broker or work
# beside the requests raises ends here.
EDGES = {
    "ossature.kernel.background",
    "ossature.kernel.http.edge",
    "ossature.kernel.jobs.attempt",
    "ossature.kernel.jobs.pool",
    "ossature.kernel.jobs.schedule",
    "ossature.kernel.jobs.transport.broker",
    "ossature.kernel.jobs.worker",
}
READS_ENVIRONMENT = {"ossature.kernel.config"}
TELLS_TIME = {"ossature.kernel.clock"}

FORBIDDEN_TEXT = (
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "open work stands in docs/known-limits.md"),
    (re.compile(r"\bBaseHTTPMiddleware\b"), "the edge is one pure ASGI layer (decision 0003)"),
    (re.compile(r"/work/(main|shared)|/tmp/"), "a path of one machine"),
    (
        re.compile(r"py" r"pi\.o" r"rg|python" r"hosted|npm" r"js\.o" r"rg|deb\.deb" r"ian"),
        "the host of a package registry",
    ),
)


def _tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


@pytest.mark.parametrize(("pattern", "reason"), FORBIDDEN_TEXT, ids=[reason for _, reason in FORBIDDEN_TEXT])
def test_no_product_source_contains(pattern: re.Pattern[str], reason: str) -> None:
    hits = [
        f"{dotted(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]

    assert not hits, f"{reason}: {hits}"


def test_no_tracked_file_names_a_package_registry_or_a_path_of_a_machine() -> None:
    patterns = [pattern for pattern, reason in FORBIDDEN_TEXT if "registry" in reason or "machine" in reason]
    hits = []
    for path in _tracked():
        if path.is_relative_to(ROOT / "tests" / "house") or path.suffix in {".png", ".woff2"}:
            continue
        text = path.read_text(errors="ignore")
        in_tests = path.is_relative_to(ROOT / "tests") or path.is_relative_to(ROOT / "bench")
        hits += [f"{path}: {p.pattern}" for p in patterns if p.search(text) and not (in_tests and "/tmp/" in p.pattern)]

    assert not hits


def _calls(path: Path) -> list[tuple[int, str]]:
    return [
        (node.lineno, f"{node.value.id}.{node.attr}")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ({"os.environ", "os.getenv"}, READS_ENVIRONMENT),
        ({"datetime.now", "datetime.utcnow", "datetime.today", "time.time", "date.today"}, TELLS_TIME),
    ],
    ids=["only config reads the environment", "only the clock tells the time"],
)
def test_what_only_one_room_may_do(names: set[str], allowed: set[str]) -> None:
    hits = [
        f"{dotted(path)}:{line} {call}"
        for path in modules()
        if dotted(path) not in allowed and not path.is_relative_to(SOURCE / "sim")
        for line, call in _calls(path)
        if call in names
    ]

    assert not hits


def test_only_edges_catch_everything() -> None:
    hits = []
    for path in modules():
        if dotted(path) in EDGES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                bare = node.type is None
                broad = isinstance(node.type, ast.Name) and node.type.id == "Exception"
                if bare or broad:
                    hits.append(f"{dotted(path)}:{node.lineno}")

    assert not hits


def test_package_files_are_empty_except_the_tuples_of_providers() -> None:
    hits = [
        dotted(path)
        for path in modules()
        if path.name == "__init__.py" and path.stat().st_size and path.parent.name != "providers"
    ]

    assert not hits


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in modules()
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }

    assert set(long) <= set(LONG_FILES), f"longer than {MAX_LINES} lines: {long}"
    assert set(LONG_FILES) <= set(long), "the list of long files may only shrink"


def test_functions_stay_readable() -> None:
    long = [
        f"{dotted(path)}.{node.name}: {node.end_lineno - node.lineno + 1}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert not long


def test_imports_are_absolute() -> None:
    hits = [
        f"{dotted(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert not hits
