"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, TypeDecorator, Uuid
from sqlalchemy.dialects.postgresql import JSONB


class Utc(TypeDecorator[datetime]):
    """An aware UTC instant: `timestamptz` on PostgreSQL, sortable ISO text on SQLite.

    Raises ValueError for a naive datetime: its zone would be a guess.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive value; SQLite gets UTC without the zone, so that text order is time order."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value!r} has no zone"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware UTC value on both databases."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document: `jsonb` on PostgreSQL, text on SQLite."""

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""A growing number made by the database (SQLite counts only in an INTEGER primary key)."""

TYPES: dict[Any, Any] = {datetime: Utc(), UUID: Uuid(), dict[str, Any]: Json, list[Any]: Json}
"""What an annotation of a table class means as a column."""
