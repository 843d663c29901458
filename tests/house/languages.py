"""The catalogues of translations: `python -m tests.house.languages` brings them up to date with the sources.

New sentences come in without a translation, which a law (`test_languages`) refuses; those that nobody says any more go.
Sentences are read off the syntax trees: tables (`Words`), single ones (`translate`, `Message`), and the titles of pages
and operations, which their services declare as values.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from ossature.kernel.i18n.language import FALLBACK, LANGUAGES
from ossature.kernel.i18n.words import Message
from tests.house.places import ROOT, SOURCE, modules

FOLDER = SOURCE / "locales"
TRANSLATED = tuple(code for code in LANGUAGES if code != FALLBACK.code)
COMMAND = "python -m tests.house.languages"
# Values whose fields a page shows: the name of the class, and which fields these are.
DECLARED = {"Page": ("title", "menu"), "Operation": ("title",)}


@cache
def said() -> dict[Message, set[str]]:
    """Every sentence of the product, with the files that say it."""
    found: dict[Message, set[str]] = {}
    for path in modules():
        for message in sentences(ast.parse(path.read_text("utf-8"))):
            found.setdefault(message, set()).add(path.relative_to(ROOT).as_posix())
    return found


def sentences(tree: ast.AST) -> Iterator[Message]:
    """The sentences of one module."""
    ours = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "ossature.kernel.i18n.words"
        for alias in node.names
    } | DECLARED.keys()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name = node.func.id if node.func.id in ours else ""
        if name == "Words" and len(node.args) == 2:
            table = node.args[1]
            assert isinstance(table, ast.Dict), f"line {node.lineno}: the table of `Words` must be written out"
            yield from (_plain(value) for value in table.values if isinstance(value, ast.Constant))
        elif name == "translate" and node.args and isinstance(node.args[0], ast.Constant):
            yield _plain(node.args[0])
        elif name == "Message":
            english, *rest = (ast.literal_eval(argument) for argument in node.args)
            assert not rest, f"line {node.lineno}: name the plural and the context"
            yield Message(english, **{word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg})
        elif name in DECLARED:
            shown = (word.value for word in node.keywords if word.arg in DECLARED[name])
            yield from (_plain(value) for value in shown if isinstance(value, ast.Constant) and value.value)


def _plain(node: ast.expr) -> Message:
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, str), f"line {node.lineno}: a sentence is a text"
    return Message(node.value)


def catalog(code: str) -> Catalog:
    """A catalogue as it lies in the repository."""
    with (FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def renewed(code: str) -> Catalog:
    """A catalogue of what the sources say now, with the translations that there were."""
    before = catalog(code)
    after = Catalog(locale=code)
    for message, files in sorted(said().items(), key=lambda pair: (pair[0].english, pair[0].context)):
        known = before.get(message.english, message.context or None)
        text = known.string if known is not None else None
        key: str | tuple[str, str] = (message.english, message.plural) if message.plural else message.english
        fits = text is not None and isinstance(text, tuple) == bool(message.plural)
        after.add(key, text if fits else None, [(name, 0) for name in sorted(files)], context=message.context or None)
    return after


def write(code: str, made: Catalog) -> None:
    """Write a catalogue into the repository."""
    head = {"Language": code, "Plural-Forms": made.plural_forms, "Content-Type": "text/plain; charset=utf-8"}
    with (FOLDER / f"{code}.po").open("wb") as file:
        file.write(b'msgid ""\nmsgstr ""\n')
        file.writelines(f'"{name}: {value}\\n"\n'.encode() for name, value in head.items())
        file.write(b"\n")
        write_po(file, made, width=120, omit_header=True, include_lineno=False)


def main() -> int:
    """Bring every catalogue up to date; 1 when one of them waits for translations."""
    waiting = 0
    for code in TRANSLATED:
        made = renewed(code)
        write(code, made)
        empty = [message.id for message in made if message.id and not _complete(message.string)]
        waiting += len(empty)
        for one in empty:
            print(f"{Path('src/ossature/locales') / code}.po: {one!r}")
    return int(waiting > 0)


def _complete(text: object) -> bool:
    return all(text) if isinstance(text, tuple) else bool(text)


if __name__ == "__main__":
    sys.exit(main())
