"""Every list is read through an index, whatever it is filtered and sorted by: shown by the plans of both databases."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

import ossature
from ossature.kernel.audit import store as audit
from ossature.kernel.auth.keys import store as keys
from ossature.kernel.auth.signatures import store as signatures
from ossature.kernel.auth.users import store as users
from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import Filter, Found, Listable, ListQuery, Order
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs import store as jobs
from ossature.kernel.links import store as links
from ossature.kernel.notify import store as notify
from ossature.kernel.quotas import store as quotas
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.flags import store as flags
from ossature.kernel.webhooks import store as webhooks
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.store import bookings, fleet, imports, people, plans, search
from ossature.services.predict.store import catalogue, models, predictions
from ossature.services.sync.store import journal, pipelines, state
from ossature.services.sync.store import plans as sync_plans

TENANTS, ROWS = 100, 10_000
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
MINE = UUID(int=7)
HERS, ITS = UUID(int=1), UUID(int=2)
"""A person with messages, and an endpoint with deliveries."""

EVERYTHING = Reach(everything=True)

Ask = Callable[[Db, ListQuery], Awaitable[Found[Any]]]
# By their tables; what follows a table's name tells its further lists apart.
LISTS: Mapping[str, tuple[Listable, Ask]] = {
    "audit_entry": (audit.ENTRIES, lambda db, query: audit.list_entries(db, MINE, query)),
    "auth_key": (keys.KEYS, lambda db, query: keys.keys(db, MINE, query)),
    "auth_signature_key": (signatures.SIGNING_KEYS, lambda db, query: signatures.signing_keys(db, MINE, query)),
    "auth_user": (users.USERS, lambda db, query: users.users(db, [UUID(int=n) for n in range(50)], query)),
    "dispatch_booking": (bookings.BOOKINGS, lambda db, query: bookings.list_bookings(db, MINE, query, EVERYTHING)),
    "dispatch_client": (people.CLIENTS, lambda db, query: people.list_clients(db, MINE, query)),
    "dispatch_client by reference": (search.BY_REFERENCE, lambda db, query: search.find_clients(db, MINE, query)),
    "dispatch_driver": (fleet.DRIVERS, lambda db, query: fleet.list_drivers(db, MINE, query)),
    "dispatch_import": (imports.IMPORTS, lambda db, query: imports.list_imports(db, MINE, query)),
    "dispatch_import_fault": (imports.FAULTS, lambda db, query: imports.list_faults(db, MINE, ITS, query)),
    "dispatch_driver by number": (search.BY_NUMBER, lambda db, query: search.find_drivers(db, MINE, query)),
    "dispatch_plan": (plans.PLANS, lambda db, query: plans.list_plans(db, MINE, query)),
    "dispatch_run": (plans.RUNS, lambda db, query: plans.list_runs(db, MINE, query)),
    "dispatch_shift": (fleet.SHIFTS, lambda db, query: fleet.list_shifts(db, MINE, query)),
    "dispatch_trip": (bookings.TRIPS, lambda db, query: bookings.list_trips(db, MINE, query, EVERYTHING)),
    "dispatch_vehicle": (fleet.VEHICLES, lambda db, query: fleet.list_vehicles(db, MINE, query)),
    "dispatch_vehicle by plate": (search.BY_PLATE, lambda db, query: search.find_vehicles(db, MINE, query)),
    "jobs_job": (jobs.JOBS, lambda db, query: jobs.page(db, MINE, query)),
    "links_link": (links.LINKS, lambda db, query: links.links(db, MINE, query)),
    "notify_inbox": (notify.INBOX, lambda db, query: notify.list_inbox(db, MINE, HERS, query)),
    "predict_competition": (
        catalogue.COMPETITIONS,
        lambda db, query: catalogue.list_competitions(db, MINE, query),
    ),
    "predict_match": (catalogue.MATCHES, lambda db, query: catalogue.list_matches(db, MINE, query)),
    "predict_model_version": (models.MODELS, lambda db, query: models.list_models(db, MINE, query)),
    "predict_prediction": (
        predictions.PREDICTIONS,
        lambda db, query: predictions.list_predictions(db, MINE, ITS, query),
    ),
    "quotas_budget": (quotas.BUDGETS, lambda db, query: quotas.budgets(db, MINE, query)),
    "quotas_usage_event": (quotas.EVENTS, lambda db, query: quotas.usage_events(db, MINE, query)),
    "sync_connection": (pipelines.CONNECTIONS, lambda db, query: pipelines.list_connections(db, MINE, query)),
    "sync_op": (journal.OPS, lambda db, query: journal.list_ops(db, MINE, ITS, query)),
    "sync_pipeline": (pipelines.PIPELINES, lambda db, query: pipelines.list_pipelines(db, MINE, query)),
    "sync_pipeline_version": (
        pipelines.VERSIONS,
        lambda db, query: pipelines.list_versions(db, MINE, ITS, query),
    ),
    "sync_plan": (sync_plans.PLANS, lambda db, query: sync_plans.list_plans(db, MINE, query)),
    "sync_quarantine": (state.QUARANTINE, lambda db, query: state.list_held(db, MINE, query)),
    "sync_run": (journal.RUNS, lambda db, query: journal.list_runs(db, MINE, query)),
    "tenants_flag": (flags.FLAGS, lambda db, query: flags.flags(db, MINE, query)),
    "tenants_member": (tenants.MEMBERS, lambda db, query: tenants.members(db, MINE, query)),
    "tenants_project": (tenants.PROJECTS, lambda db, query: tenants.projects(db, MINE, query)),
    "tenants_tenant": (tenants.TENANTS, tenants.tenants),
    "webhooks_delivery": (webhooks.DELIVERIES, lambda db, query: webhooks.list_deliveries(db, MINE, ITS, query)),
    "webhooks_endpoint": (webhooks.ENDPOINTS, lambda db, query: webhooks.list_endpoints(db, MINE, query)),
}
WORDS = {
    "auth_signature_key.algorithm": "ed25519",
    "audit_entry.body": '{"facts": {}}',
    "dispatch_booking.origin": "api",
    "dispatch_booking.party": "requester",
    "dispatch_booking.payer": "patient",
    "dispatch_client.default_payer": "patient",
    "dispatch_driver.kind": "regular",
    "dispatch_import.state": "checked",
    "dispatch_plan.state": "draft",
    "dispatch_run.state": "queued",
    "dispatch_trip.state": "draft",
    "dispatch_trip.time_rule": "on_call",
    "jobs_job.state": "queued",
    "predict_match.status": "scheduled",
    "quotas_budget.subject": "project",
    "quotas_budget.period": "day",
    "webhooks_delivery.state": "waiting",
}
"""Columns that hold certain words only."""
JSON: Mapping[str, Any] = {
    "dispatch_trip.requirement": {"wheelchair": "none", "needs": []},
    "dispatch_trip.load": [1, 0, 0, 0, 0],
    "tenants_flag.variants": {"on": True},
    "tenants_flag.shares": {"on": 100},
}
SORTED_IN_MEMORY = {"auth_user"}
"""Lists of rows that are named one by one: there are no more of them than names."""


def test_every_list_of_the_house_is_looked_at() -> None:
    modules = (
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(ossature.__path__, "ossature.")
        if "store" in found.name.split(".") and ".sim" not in found.name
    )
    found = {id(one) for module in modules for one in vars(module).values() if isinstance(one, Listable)}

    assert found == {id(listable) for listable, _ in LISTS.values()}


def _value(column: sa.Column[Any], number: int, *, unique: bool) -> Any:
    """Something for a column: its own in each row where it has to be, else one of ten."""
    kind: Any = column.type.impl_instance if isinstance(column.type, sa.TypeDecorator) else column.type
    some = number if unique else number % 10
    options: list[tuple[type, Any]] = [
        (sa.Boolean, some % 2 == 0),
        (sa.Date, MOMENT.date() + timedelta(days=some)),
        (sa.DateTime, MOMENT + timedelta(seconds=number)),
        (sa.Uuid, UUID(int=some)),
        (sa.LargeBinary, b"x"),
        (sa.JSON, JSON.get(str(column), [])),
        (sa.SmallInteger, some % 1000),
        (sa.Integer, some),
        (sa.Float, float(some)),
        (sa.Numeric, some),
    ]
    length = getattr(kind, "length", None) or 40
    word = WORDS.get(str(column), f"v{some}"[:length])
    return next((value for of, value in options if isinstance(kind, of)), word)


def _rows(table: sa.Table) -> Iterator[dict[str, Any]]:
    """Rows of many tenants, in no order that would help one of them; a quarter is of the one that asks."""
    unique = {column.name for key in _keys(table) for column in key} - {"tenant_id", "person_id", "endpoint_id"}
    for number in range(1, ROWS + 1):
        row = {
            column.name: _value(column, number, unique=column.name in unique)
            for column in table.columns
            if not column.nullable or column.name.endswith("_id")
        }
        if table.name != "tenants_tenant":
            row["tenant_id"] = MINE if number % 4 == 0 else UUID(int=number % TENANTS + 1)
            row |= {name: of for name, of in (("person_id", HERS), ("endpoint_id", ITS)) if name in row}
        yield row


def _keys(table: sa.Table) -> Iterator[Any]:
    yield table.primary_key.columns
    yield from (index.columns for index in table.indexes if index.unique)
    yield from (one.columns for one in table.constraints if isinstance(one, sa.UniqueConstraint))


@pytest.fixture
async def full(database: Database) -> Database:
    """A database with 10,000 rows behind every list, and statistics where the planner wants them."""
    names = dict.fromkeys(name.partition(" ")[0] for name in LISTS)
    for name in sorted(names, key=lambda name: name != "tenants_tenant"):
        table = tenants.TenantRow.metadata.tables[name]
        await _fill(database, table)
    if not database.embedded:
        async with database.postgres.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(sa.text("ANALYZE"))
    return database


async def _fill(database: Database, table: sa.Table) -> None:
    """Rows without the rows that they point to: a plan is made by columns and indexes."""
    if database.embedded:
        plain = sa.create_engine(f"sqlite:///{database.sqlite.url.database}")  # it does not ask for foreign keys
        with plain.begin() as connection:
            connection.execute(sa.insert(table), list(_rows(table)))
        plain.dispose()
        return
    async with database.begin() as db:
        await db.execute(sa.text("SET LOCAL session_replication_role = replica"))
        await db.execute(sa.insert(table), list(_rows(table)))


@contextmanager
def _noting(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements that the database is sent meanwhile, with their parameters."""
    sent: list[tuple[str, Any]] = []
    engine = database.sqlite if database.embedded else database.postgres.sync_engine

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _x: object, _many: object) -> None:
        sent.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


async def _plan(database: Database, statement: str, parameters: Any) -> list[str]:
    """The lines of the plan that the database has for a statement."""
    if database.embedded:
        with database.sqlite.connect() as connection:
            return [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    connected: AsyncConnection
    async with database.postgres.connect() as connected:
        return [row[0] for row in await connected.exec_driver_sql(f"EXPLAIN {statement}", parameters)]


def _queries(listable: Listable) -> Iterator[tuple[str, ListQuery]]:
    """Every order both ways, and every filter with every operator under every order."""
    orders = [(Order(name, down),) for name in listable.sorts for down in (False, True)]
    for order in orders:
        yield f"by {order[0]}", ListQuery(sort=order)
        for name, column in listable.filters.items():
            one = _value(column, 7, unique=False)  # type: ignore[arg-type] # a mapped column has what is asked of one
            for operator in listable.operators(name):
                condition = Filter(name, operator, (one, one) if operator == "in" else one)
                yield f"{name} {operator} by {order[0]}", ListQuery(sort=order, filters=(condition,))


def _is_scan(line: str, table: str) -> bool:
    on_sqlite = line.startswith("SCAN ") and " USING " not in line
    return (f"Seq Scan on {table} " in line) or (on_sqlite and table in line)


def _is_sort(line: str) -> bool:
    """Whether rows are gathered and sorted; what an index has put in order but for ties is not."""
    return line.strip().removeprefix("->").strip().startswith("Sort  (") or line == "USE TEMP B-TREE FOR ORDER BY"


async def test_no_list_reads_a_whole_table(full: Database) -> None:
    wrong = []
    for list_name, (listable, ask) in LISTS.items():
        table = list_name.partition(" ")[0]
        for name, query in _queries(listable):
            async with full.begin() as db:
                with _noting(full) as sent:
                    first = await ask(db, query)
                    if not query.filters and first.next is not None:
                        await ask(db, ListQuery(sort=query.sort, after=first.next))
            for statement, parameters in sent:
                plan = [] if not statement.startswith("SELECT") else await _plan(full, statement, parameters)
                wrong += [f"{list_name} {name}: {line.strip()}" for line in plan if _is_scan(line, table)]
                if not query.filters and table not in SORTED_IN_MEMORY:
                    wrong += [f"{list_name} {name}: {line.strip()}" for line in plan if _is_sort(line)]

    assert wrong == []
