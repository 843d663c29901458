"""Trying again has one home: `kernel/retry.py`. Nobody writes a loop of his own for it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.house.places import dotted, modules

HOME = "ossature.kernel.retry"
# Loops that end when something worked and go on when it did not, for another reason than to try the same thing again.
OTHERWISE = {
    "ossature.kernel.background": "calls work again that has no end, which is no second try of a thing",
    "ossature.kernel.db.wal": "waits in a driver's thread for a lock that SQLite itself does not wait for; nothing can be awaited there",
}

_COUNTING = frozenset({"range", "count", "repeat"})
_Loop = ast.While | ast.For | ast.AsyncFor


def _is_counting(loop: _Loop) -> bool:
    """`while`, or `for` over numbers: a `for` over things goes on to the next thing, which is no second try."""
    if isinstance(loop, ast.While):
        return True
    call = loop.iter
    if not isinstance(call, ast.Call):
        return False
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in _COUNTING


def _own(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """Everything below these statements that belongs to their loop: no inner functions, no inner loops."""
    waiting: list[ast.AST] = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [
            each
            for each in ast.iter_child_nodes(node)
            if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, _Loop))
        ]


def _leaves(nodes: list[ast.stmt]) -> bool:
    return any(isinstance(node, (ast.Return, ast.Break)) for node in _own(nodes))


def _goes_on(handler: ast.ExceptHandler) -> bool:
    return not isinstance(handler.body[-1], (ast.Raise, ast.Return, ast.Break))


def retry_loops(source: str) -> Iterator[int]:
    """Lines of loops that try the same thing until it works: left by success, continued by a caught failure."""
    for loop in ast.walk(ast.parse(source)):
        if not isinstance(loop, _Loop) or not _is_counting(loop):
            continue
        for position, statement in enumerate(loop.body):
            if not isinstance(statement, ast.Try) or not any(map(_goes_on, statement.handlers)):
                continue
            skips = any(isinstance(handler.body[-1], ast.Continue) for handler in statement.handlers)
            after = loop.body[position + 1 :] if skips else []
            if _leaves([*statement.body, *statement.orelse, *after]):
                yield loop.lineno


SPOTTED = {
    "left by return": """
        async def fetch():
            while True:
                try:
                    return await get()
                except OSError:
                    await asyncio.sleep(1)
        """,
    "counted, left by break": """
        def fetch():
            for number in range(3):
                try:
                    answer = get()
                    break
                except OSError:
                    time.sleep(2**number)
        """,
    "continued on failure": """
        def fetch():
            while True:
                try:
                    answer = get()
                except OSError:
                    continue
                return answer
        """,
    "left by else": """
        def fetch():
            while number < 5:
                try:
                    answer = get()
                except OSError:
                    number += 1
                else:
                    return answer
        """,
}
PASSED = {
    "the next thing": """
        def first(sources):
            for source in sources:
                try:
                    return source()
                except OSError:
                    continue
        """,
    "work for ever": """
        async def serve():
            while True:
                try:
                    await turn()
                except OSError:
                    await asyncio.sleep(1)
        """,
    "a failure that ends it": """
        def read():
            while True:
                try:
                    return get()
                except OSError:
                    raise
        """,
}


@pytest.mark.parametrize("source", SPOTTED.values(), ids=list(SPOTTED))
def test_a_loop_of_ones_own_is_spotted(source: str) -> None:
    assert list(retry_loops(dedent(source)))


@pytest.mark.parametrize("source", PASSED.values(), ids=list(PASSED))
def test_other_loops_are_let_be(source: str) -> None:
    assert not list(retry_loops(dedent(source)))


def test_only_the_policy_tries_again() -> None:
    found = {f"{dotted(path)}:{line}" for path in modules() for line in _lines(path)}
    assert {each for each in found if each.partition(":")[0] not in OTHERWISE} == set()


def test_the_policy_itself_is_seen_by_this_law() -> None:
    home = next(path for path in modules() if dotted(path) == HOME)
    assert len(list(retry_loops(home.read_text()))) == 1


def _lines(path: Path) -> Iterator[int]:
    if dotted(path) != HOME:
        yield from retry_loops(path.read_text())
