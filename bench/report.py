"""`python -m bench report`: docs/reference/performance.md from the results of the last runs. Nothing in it is typed by hand.

A bench that was not run here keeps the section that it has.
What a miss was found to cost is said in `bench/notes.toml`, by bench and metric.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from bench.result import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "performance.md"
NOTES = Path(__file__).with_name("notes.toml")
_WORDS = {"least": "at least", "most": "at most", "equals": "exactly"}
_HEAD = """# Performance

Every figure here was printed by the command above its table and put here by `python -m bench report`. The machine is
shared and small: ratios taken in one run mean more than absolute figures. A target that is missed is said to be missed.
"""


def write() -> Path:
    """The page: the sections of the results that are there, and the others as they were, by name."""
    notes = tomllib.loads(NOTES.read_text()) if NOTES.is_file() else {}
    sections = _written(PAGE.read_text()) if PAGE.is_file() else {}
    for path in RESULTS.glob("*.json"):
        found = orjson.loads(path.read_bytes())
        sections[found["bench"]] = "\n".join(_section(found, notes.get(found["bench"], {})))
    PAGE.write_text("\n\n".join([_HEAD.rstrip(), *(text.rstrip() for _, text in sorted(sections.items()))]) + "\n")
    return PAGE


def _written(page: str) -> dict[str, str]:
    """The sections of a page by the names of their benches."""
    _, *parts = page.split("\n## ")
    return {part.partition("\n")[0]: f"## {part}" for part in parts}


def _section(found: Mapping[str, Any], notes: Mapping[str, str]) -> Iterator[str]:
    environment = found["environment"]
    yield f"## {found['bench']}"
    yield ""
    yield f"`python -m bench {found['bench']}{' --quick' if environment.get('quick') else ''} --json`"
    yield ""
    verdict = "every target met" if found["ok"] else f"missed: {', '.join(found['missed'])}"
    valid = "" if environment.get("valid", True) else " The run's own control says that the machine was too busy."
    yield f"{verdict}.{valid} {_where(environment)}"
    yield ""
    yield "| metric | value | target |"
    yield "|---|--:|---|"
    for name, value in found["metrics"].items():
        target = found["targets"].get(name, {})
        wanted = ", ".join(f"{_WORDS[kind]} {bound:,}" for kind, bound in target.items())
        yield f"| {name} | {_shown(value)} | {wanted} |"
    yield ""
    for name, note in notes.items():
        yield f"- **{name}**: {note}"
    yield ""


def _where(environment: Mapping[str, Any]) -> str:
    load = f"load {environment['load_before']} before and {environment['load_after']} after"
    return f"({environment['cores']} cores, {load}, Python {environment['python']}.)"


def _shown(value: Any) -> str:  # noqa: ANN401 - a figure of any kind
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
