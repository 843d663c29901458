"""Writes the next revision: the difference between the history so far and the tables as the code has them now."""

import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

from alembic.autogenerate import RevisionContext
from alembic.config import Config as AlembicConfig
from alembic.operations.ops import CreateIndexOp, DropIndexOp, MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, make_url

from ossature.kernel.db import drift, metadata, migrate
from ossature.kernel.errors import Conflict


class NothingChanged(Conflict):
    """The tables are what the history makes of them; there is nothing to write."""

    title = "Nothing changed"


_TIDY = {"format": "format", "lint": "check --fix --quiet"}


def _config() -> AlembicConfig:
    """Alembic's configuration, with a formatter for what it writes."""
    config = migrate.configuration()
    config.stdout = io.StringIO()
    config.set_section_option("post_write_hooks", "hooks", ", ".join(_TIDY))
    for name, options in _TIDY.items():
        config.set_section_option("post_write_hooks", f"{name}.type", "module")
        config.set_section_option("post_write_hooks", f"{name}.module", "ruff")
        config.set_section_option("post_write_hooks", f"{name}.options", f"{options} REVISION_SCRIPT_FILENAME")
    return config


def _with_expressions(context: MigrationContext, _revision: object, directives: list[MigrationScript]) -> None:
    """Add the indexes that Alembic cannot compare on SQLite."""
    script = directives[0]
    connection = context.connection
    if connection is None or script.upgrade_ops is None or script.downgrade_ops is None:
        return
    for index in drift.indexes_by_name(connection, metadata.load()):
        script.upgrade_ops.ops.append(CreateIndexOp.from_index(index))
        script.downgrade_ops.ops.insert(0, DropIndexOp.from_index(index))


def make(message: str, *, empty: bool = False) -> Path:
    """The file of a new revision after the newest one, to be read and mended by its author before it is committed.

    empty: write one without table changes, for moving data. The history so far is applied to a scratch database first.
    Raises: NothingChanged.
    """
    config = _config()
    directory = ScriptDirectory.from_config(config)
    # Said of every index with an expression; `_with_expressions` adds them.
    warnings.filterwarnings("ignore", message="autogenerate skipping metadata-specified expression")
    number = f"{len(migrate.history()) + 1:04d}"
    arguments: dict[str, Any] = {
        "message": message, "autogenerate": not empty, "sql": False, "head": "head", "splice": False,
        "branch_label": None, "version_path": None, "rev_id": number, "depends_on": None,
    }  # fmt: skip
    writing = RevisionContext(config, directory, arguments, process_revision_directives=_with_expressions)

    def compare(rev: Any, context: MigrationContext) -> list[Any]:  # noqa: ANN401 - Alembic's callback
        (writing.run_no_autogenerate if empty else writing.run_autogenerate)(rev, context)
        return []

    def up(rev: Any, _context: MigrationContext) -> Any:  # noqa: ANN401 - Alembic's callback
        return directory._upgrade_revs("head", rev)  # noqa: SLF001 - as alembic.command

    def work(connection: Connection) -> None:
        if directory.get_heads():
            with migrate.environment_for(directory, connection, direction="up", fn=up):
                directory.run_env()
        with migrate.environment_for(
            directory, connection, fn=compare, template_args=writing.template_args, revision_context=writing
        ):
            directory.run_env()

    with tempfile.TemporaryDirectory() as folder:
        migrate.on_sqlite(make_url(f"sqlite:///{folder}/scratch.db"), work, exclusive=True)
    operations = writing.generated_revisions[-1].upgrade_ops
    if not empty and (operations is None or operations.is_empty()):
        raise NothingChanged
    script = next(iter(writing.generate_scripts()))
    if not isinstance(script, Script):
        raise NothingChanged
    return Path(script.path)
