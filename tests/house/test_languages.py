"""Every sentence that a person reads has a translation, and no page says one past the translations."""

import ast
import inspect
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ossature.app import services
from ossature.kernel.console import charts, parts, pictures, shell, table
from ossature.kernel.guests import everybody
from ossature.kernel.i18n.catalogue import catalogue
from ossature.kernel.i18n.language import LANGUAGES
from ossature.kernel.i18n.words import Message
from tests.house.languages import COMMAND, TRANSLATED, catalog, said
from tests.house.places import SOURCE, modules

# The building blocks of pages, and the parameters of theirs that are read by people.
BLOCKS: tuple[ModuleType, ...] = (parts, table, shell, charts, pictures)
SHOWN = {"text", "title", "label", "note", "hint", "unit", "detail", "action", "value"}
# Attributes of elements that a screen reader or the pointer brings to light.
SPOKEN = {"title", "aria_label", "placeholder", "alt", "aria_description"}
# Parameters of the same name that hold what is chosen or written by a machine, not what is read.
NOT_READ = {("select", "value"), ("field", "value"), ("code", "text"), ("drawn", "title")}
# Names that are the same in every language.
NAMES = {"ossature", "auto", "curl", "p50", "p95", "p99", "ms", "Ctrl K"}


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_sentence_is_translated_and_none_is_left_over(code: str) -> None:
    known = {
        (message.context or "", message.id[0] if message.pluralizable else message.id): message
        for message in catalog(code)
        if message.id
    }
    wanted = {(message.context, message.english): message for message in said()}

    missing = [key for key in wanted if key not in known or not _whole(known[key])]
    over = [key for key in known if key not in wanted]
    plural = [key for key in wanted.keys() & known.keys() if known[key].pluralizable != bool(wanted[key].plural)]

    assert not missing, f"without a translation into {code}; run {COMMAND} and fill them in"
    assert not over, f"nobody says these any more; run {COMMAND}"
    assert not plural, f"one has a plural and the other has not; run {COMMAND}"


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_fills_in_the_same_facts(code: str) -> None:
    wrong = []
    for message in catalog(code):
        english, forms = (message.id, message.string) if message.pluralizable else ((message.id,), (message.string,))
        known = set().union(*map(_facts, english))
        for place, form in enumerate(forms):
            needed = _facts(english[min(place, len(english) - 1)]) - {"count"}  # a form may say the number in words
            if message.id and not needed <= _facts(form) <= known:
                wrong.append(form)

    assert not wrong


def test_every_notice_has_its_words_in_every_language() -> None:
    notices = [notice for service in everybody(services()) for notice in service.notices]
    assert notices

    lacking = {notice.name: set(LANGUAGES) - notice.wordings.keys() for notice in notices}

    assert {name: codes for name, codes in lacking.items() if codes} == {}


def test_the_laws_see_a_sentence_that_is_missing_or_not_marked() -> None:
    assert catalogue("de").gettext("Audit trail") != "Audit trail"
    assert Message("Nobody ever says this.") not in said()
    tree = ast.parse(
        'def page():\n    button("Press me", act)\n    tag("p", f"{count} things")\n    tag("p", WORDS("a"), "o-dim")'
    )

    assert [line for line, _ in unmarked(tree)] == [2, 3]
    assert [
        line
        for line, _ in spoken_too_early(
            ast.parse('A = WORDS("a")\ndef page():\n    WORDS("a")\nB = lambda: WORDS("a")')
        )
    ] == [1]


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if path.is_relative_to(SOURCE) and ("console" in path.parts or "pages" in path.parts)],
    ids=lambda path: path.relative_to(SOURCE).as_posix(),
)
def test_a_page_says_nothing_past_the_translations(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))

    assert not list(unmarked(tree)), "put it into the table of `Words`"
    assert not list(spoken_too_early(tree)), "at import nobody reads yet: say it in a function"


def unmarked(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Literal texts, with their lines, that a call of a building block shows as they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for argument in _shown(node):
                yield from ((text.lineno, text.value) for text in _literals(argument) if _is_prose(text.value))


def spoken_too_early(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls of a table or of `translate` that happen when the module is imported."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"WORDS", "translate"}:
            yield node.lineno, ast.unparse(node)
        pending.extend(ast.iter_child_nodes(node))


def _shown(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call that a person reads."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    block = _blocks().get(name)
    if block is None:
        return
    names = list(inspect.signature(block).parameters)
    for place, argument in enumerate(call.args):
        if place < len(names) and names[place] in SHOWN and (name, names[place]) not in NOT_READ:
            yield argument
    for word in call.keywords:
        if word.arg is not None and word.arg in SHOWN | SPOKEN and (name, word.arg) not in NOT_READ:
            yield word.value


def _blocks() -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for module in BLOCKS
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    }


def _literals(node: ast.expr) -> Iterator[ast.Constant]:
    """The texts of an expression itself: not those that its calls and subscripts are given."""
    match node:
        case ast.Constant(value=str()):
            yield node
        case ast.JoinedStr(values=parts) | ast.BoolOp(values=parts):
            for part in parts:
                yield from _literals(part)
        case ast.IfExp(body=body, orelse=other) | ast.BinOp(left=body, right=other):
            yield from _literals(body)
            yield from _literals(other)
        case ast.Lambda(body=body):
            yield from _literals(body)


def _is_prose(text: str) -> bool:
    is_path = text.startswith(("/console", "/v1/"))
    return any(letter.isalpha() for letter in text) and text.strip() not in NAMES and not is_path


def _facts(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def _whole(message: Any) -> bool:
    return all(message.string) if message.pluralizable else bool(message.string)
