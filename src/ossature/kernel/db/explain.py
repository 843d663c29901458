"""What is said of the plan of a slow statement."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

# Other statements have no plan, or one that says little, and on PostgreSQL a wrong question would break the transaction.
EXPLAINABLE = ("SELECT", "WITH")

# PostgreSQL writes the values of the parameters into its plan.
_VALUE = re.compile(r"'(?:[^']|'')*'|(?<=[=<>] )-?\d+(?:\.\d+)?")


def plan_of(rows: Sequence[Row[Any]]) -> list[str]:
    """The lines of a plan, without values."""
    return [_VALUE.sub("?", str(row[-1])) for row in rows]
