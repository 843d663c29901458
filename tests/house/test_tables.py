"""Laws of the tables: whose they are, and what may point where."""

from pathlib import Path

import pytest
import sqlalchemy

from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.testing import schema

schema.import_stores()
TABLES = sorted(
    (mapper.class_ for mapper in Table.registry.mappers if mapper.class_.__module__.startswith("ossature.")),
    key=lambda table: table.__tablename__,
)
# Rows of the house itself, which belong to no tenant, each with its reason.
NOT_OWNED = Path(__file__).with_name("tables_without_tenant.txt")


def _room(table: type[Table]) -> str:
    parts = table.__module__.split(".")
    return parts[2]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__tablename__)
def test_a_table_is_named_after_its_room(table: type[Table]) -> None:
    assert table.__tablename__.startswith(f"{_room(table)}_")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__tablename__)
def test_a_foreign_key_leaves_its_room_only_for_the_tenants(table: type[Table]) -> None:
    for key in sqlalchemy.inspect(table).local_table.foreign_keys:
        target = key.target_fullname
        assert target.startswith((f"{_room(table)}_", "tenants_")), f"{table.__tablename__} -> {target}"


def test_every_table_has_a_tenant_or_a_reason() -> None:
    reasons = dict(line.split(": ", 1) for line in NOT_OWNED.read_text().splitlines() if line.strip())
    without = {table.__tablename__ for table in TABLES if "tenant_id" not in table.__table__.columns}

    assert without == set(reasons), "tests/house/tables_without_tenant.txt lists exactly the tables without a tenant"
    assert all(len(reason) > 10 for reason in reasons.values())


def test_a_tenant_column_is_never_null() -> None:
    loose = [
        table.__tablename__
        for table in TABLES
        if issubclass(table, TenantOwned) and table.__table__.columns["tenant_id"].nullable
    ]

    assert not loose
