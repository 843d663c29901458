"""What a bench found, in the one shape that all of them have: `{bench, ok, missed, metrics, targets, environment}`.

A bench's `run` returns `metrics` and `targets`, and what else it knows: `agreed` (False: what it measured gave different
results, or wrong ones), `missed` (reasons of its own), `environment` (versions of peers; `valid` False when its own
control failed). A target is `{"least": x}`, `{"most": x}` or `{"equals": x}` by the name of its metric; a metric that is
missing was not measured, and its target not met.
"""

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "aiohttp", "asyncpg", "fastapi", "granian", "orjson", "pydantic", "redis", "sqlalchemy", "starlette", "uvicorn", "uvloop",
)  # fmt: skip
_BOUNDS = {
    "least": lambda value, bound: value >= bound,
    "most": lambda value, bound: value <= bound,
    "equals": lambda value, bound: value == bound,
}


def completed(name: str, found: Mapping[str, Any], *, load_before: float, quick: bool) -> dict[str, Any]:
    """The whole result of a bench that ran."""
    metrics, targets = dict(found.get("metrics", {})), dict(found.get("targets", {}))
    missed = [*found.get("missed", ()), *_missed(metrics, targets)]
    agreed = bool(found.get("agreed", True)) and bool(found.get("ok", True))
    if not agreed and not missed:
        missed.append("results did not agree")
    return {
        "bench": name,
        "ok": agreed and not missed,
        "missed": list(dict.fromkeys(missed)),
        "metrics": metrics,
        "targets": targets,
        "environment": _environment(found.get("environment", {}), load_before, quick=quick),
    }


def keep(result: Mapping[str, Any]) -> Path:
    """Write `results/NAME.json`; a quick run does not replace a full one. The file that holds the bench's figures."""
    path = RESULTS / f"{result['bench']}.json"
    if (
        result["environment"]["quick"]
        and path.is_file()
        and not orjson.loads(path.read_bytes())["environment"]["quick"]
    ):
        return path
    RESULTS.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def _missed(metrics: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
    for name, target in targets.items():
        if not isinstance(target, Mapping):
            continue  # a figure to compare with, judged by the bench itself
        value = metrics.get(name)
        if value is None:
            yield f"{name}: not measured"
            continue
        for word, bound in target.items():
            if word in _BOUNDS and not _BOUNDS[word](value, bound):
                yield f"{name}: {value}, wanted {'exactly' if word == 'equals' else 'at ' + word} {bound}"


def _environment(known: Mapping[str, Any], load_before: float, *, quick: bool) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    return {
        # Whoever else uses the machine is measured too, unless the bench has a control of its own.
        "valid": load_before < cores,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cores,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "commit": _commit(),
        "versions": dict(_versions()) | dict(known.get("versions", {})),
    } | {name: value for name, value in known.items() if name != "versions"}


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def _commit() -> str | None:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
            cwd=RESULTS.parent,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()
