"""Pipelines, rows and plans for tests."""

from datetime import UTC, datetime
from typing import Any

from ossature.services.sync.domain.config import Pipeline, read_pipeline
from ossature.services.sync.domain.plan import Operation, Plan, PlannedPipeline

PEOPLE = """
schema = "ossature.sync/1"
name = "people"
key = ["mail"]
[source]
connection = "files"
path = "people.csv"
[map]
mail = { column = "Mail", strip = true, lower = true }
name = { template = "{First} {Last}" }
active = { bool = "Active" }
since = { date = "Since", day_first = true }
[compare]
mail = { rule = "ci" }
name = { rule = ["trim", "null_as_empty"] }
since = { rule = "day" }
active = { rule = "bool" }
[target]
connection = "files"
collection = "staff"
"""


def a_pipeline(text: str = PEOPLE, **replaced: str) -> Pipeline:
    """The pipeline of people; `replaced` puts one text in the place of another: `{"old": "new"}` by keyword."""
    for old, new in replaced.items():
        text = text.replace(old, new)
    return read_pipeline(text)


def an_operation(n: int = 1, **values: Any) -> Operation:
    """An operation that creates a person."""
    given = {
        "pipeline": "people",
        "op": "create",
        "key": f"p{n}@example.org",
        "rank": 0,
        "reason": "new",
        "before": None,
        "after": {"mail": f"p{n}@example.org"},
        "precondition": "",
        "calls": {"write": 1},
    }
    return Operation(n=n, **{**given, **values})


def a_plan(*operations: Operation, **values: Any) -> Plan:
    """A plan of the pipeline of people."""
    of = PlannedPipeline(
        name="people",
        version_sha256="0" * 64,
        source_rows=10,
        source_sha256="1" * 64,
        target_rows=9,
        target_read_at="2026-01-31T12:00:00Z",
    )
    created_at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return Plan(**{"created_at": created_at, "pipelines": (of,), "operations": operations, **values})
