"""Every refusal is one page: its own address, a title and a sentence that says what it means."""

import importlib
from collections import Counter

from ossature.kernel.errors import Problem, catalogue
from tests.house.places import SOURCE, dotted, modules


def _all() -> list[type[Problem]]:
    for path in modules():
        if "(Problem)" in (text := path.read_text()) or "kernel.errors import" in text:
            if path.is_relative_to(SOURCE / "sim") or path.is_relative_to(SOURCE / "migrations"):
                continue
            importlib.import_module(dotted(path))
    return [kind for kind in catalogue() if kind.__module__.startswith("ossature.")]


def test_no_two_kinds_of_problem_share_an_address() -> None:
    twice = [slug for slug, times in Counter(kind.slug for kind in _all()).items() if times > 1]

    assert not twice


def test_every_kind_of_problem_says_what_it_means() -> None:
    mute = [kind.__name__ for kind in _all() if len(kind.__doc__ or "") < 15 or not kind.title]

    assert not mute
