"""Reads a revision without running it: what it takes away, and what it would make live statements wait for."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

NOTE = "contract"
_DESTRUCTIVE = frozenset({"drop_table", "drop_column", "rename_table", "drop_constraint"})
_DESTRUCTIVE_SQL = ("DROP ", "DELETE ", "TRUNCATE ", "RENAME ")
_BLOCKING = frozenset({"create_index", "create_unique_constraint", "create_exclude_constraint", "create_primary_key"})
_HELPERS = "online"


def destructive(path: Path) -> Iterator[str]:
    """What the `upgrade` of a revision takes away, so that a process of the version before may fail.

    Nothing, if the file says in a text named `contract` why it is safe by now: since which revision the new form is
    written and read, and since when nobody uses the old one (expand and contract).
    """
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and NOTE in ast.unparse(node).split("=")[0]:
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.strip():
                return
    for call, _batch in _calls(tree):
        yield from _taken_away(call, _verb(call))


def blocking(path: Path) -> Iterator[str]:
    """What the `upgrade` of a revision builds with writers shut out: indexes of tables that were there before it.

    `kernel.db.online.create_index` builds them while others write.
    """
    tree = ast.parse(path.read_text())
    made = {_table_of(call) for call, _batch in _calls(tree) if _verb(call) == "create_table"}
    for call, batch in _calls(tree):
        if _verb(call) in _BLOCKING and _owner(call) != _HELPERS and (batch or _table_of(call, place=1)) not in made:
            yield ast.unparse(call)[:120]


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call of a method in `upgrade`, with the table of the batch that it belongs to."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "upgrade":
            yield from _inside(node, {})


def _inside(node: ast.AST, batches: Mapping[str, str]) -> Iterator[tuple[ast.Call, str]]:
    """batches: their names here, as in `with op.batch_alter_table("shop_order") as batch`, and their tables."""
    if isinstance(node, ast.With):
        opened = [
            (ast.unparse(item.optional_vars), _table_of(item.context_expr))
            for item in node.items
            if isinstance(item.context_expr, ast.Call) and item.optional_vars is not None
        ]
        batches = {**batches, **dict(opened)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield node, batches.get(_owner(node), "")
    for child in ast.iter_child_nodes(node):
        yield from _inside(child, batches)


def _verb(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _owner(call: ast.Call) -> str:
    return ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def _table_of(call: ast.Call, *, place: int = 0) -> str:
    """The table that a call names."""
    named = next((keyword.value for keyword in call.keywords if keyword.arg == "table_name"), None)
    value = named or (call.args[place] if len(call.args) > place else None)
    return str(value.value) if isinstance(value, ast.Constant) else ""


def _taken_away(call: ast.Call, verb: str) -> Iterator[str]:
    shown = ast.unparse(call)[:120]
    if verb in _DESTRUCTIVE:
        yield shown
    elif verb == "alter_column":
        changes = {keyword.arg for keyword in call.keywords}
        hardens = any(k.arg == "nullable" and getattr(k.value, "value", True) is False for k in call.keywords)
        if hardens or changes & {"new_column_name", "type_"}:
            yield shown
    elif verb == "execute" and any(word in shown.upper() for word in _DESTRUCTIVE_SQL):
        yield shown
