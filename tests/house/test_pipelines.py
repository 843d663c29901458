"""Pipelines say nothing that a person could not say: every command is a verb of the Makefile, servers apart."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.house.places import ROOT

VERBS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
MAKE = re.compile(r"make ([a-z]+)(?: [A-Z]+=(?:\$\{\{ [\w.]+ \}\}|\S+))*$")
INSTALLS = re.compile(r"(?:sudo )?(?:RUNLEVEL=1 )?apt-get (?:update|install) |apk add ")
PIPELINES = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / ".gitlab-ci.yml"]


def _scripts(node: object) -> Iterator[str]:
    """Every `run` and `script` of a pipeline."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in {"run", "script", "before_script", "after_script"}:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _scripts(value)
    elif isinstance(node, list):
        for one in node:
            yield from _scripts(one)


def _commands(path: Path) -> list[str]:
    scripts = _scripts(yaml.safe_load(path.read_text()))
    lines = [line.strip() for script in scripts for line in script.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_a_pipeline_speaks_in_verbs_of_the_makefile(path: Path) -> None:
    commands = _commands(path)
    strange = [
        line
        for line in commands
        if not INSTALLS.match(f"{line} ") and not ((said := MAKE.match(line)) and said[1] in VERBS)
    ]

    assert len(commands) >= 4
    assert strange == []


def test_the_one_run_of_everything_calls_what_the_readme_names() -> None:
    said = re.findall(r"^make (.+?) \|\|", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    readme = (ROOT / "README.md").read_text()

    assert said[0] == "check"
    assert all(f"make {words.split()[0]}" in readme for words in said), said
