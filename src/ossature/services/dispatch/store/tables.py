"""Tables of dispatch. Times are instants UTC, a day is the tenant's local day, money is none yet."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.appendonly import APPEND_ONLY
from ossature.kernel.db.table import OUTLIVES_TENANT, Table, TenantOwned

_ACTIVE = "state IN ('queued', 'running')"


class _Owned(TenantOwned):
    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)


class PlaceRow(_Owned, Table):
    """A place on the map, found or pinned once and used by many trips; without a position while nobody knows where it is."""

    __tablename__ = "dispatch_place"
    __table_args__ = (Index("ix_dispatch_place_tenant_label", "tenant_id", "label", unique=True),)

    label: Mapped[str] = mapped_column(String(300))
    lat: Mapped[float | None]
    lon: Mapped[float | None]
    source: Mapped[str] = mapped_column(String(60))
    confidence: Mapped[float]


class ClientRow(_Owned, Table):
    """A client."""

    __tablename__ = "dispatch_client"
    __table_args__ = (
        Index("ix_dispatch_client_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_client_tenant_reference", "tenant_id", "reference", unique=True),
    )

    reference: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    first_name: Mapped[str] = mapped_column(String(100))
    birth_date: Mapped[date | None]
    phone: Mapped[str] = mapped_column(String(40))
    home_place_id: Mapped[UUID | None] = mapped_column(ForeignKey("dispatch_place.id"))
    max_ride_s: Mapped[int | None]
    default_payer: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column(default=1)


class DriverRow(_Owned, Table):
    """A driver."""

    __tablename__ = "dispatch_driver"
    __table_args__ = (
        Index("ix_dispatch_driver_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_driver_tenant_number", "tenant_id", "number", unique=True),
    )

    number: Mapped[str] = mapped_column(String(60))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    phone: Mapped[str] = mapped_column(String(40))
    skills: Mapped[list[Any]]
    active: Mapped[bool]
    employed: Mapped[bool | None]
    source: Mapped[str] = mapped_column(String(60))
    version: Mapped[int] = mapped_column(default=1)


class VehicleRow(_Owned, Table):
    """A vehicle."""

    __tablename__ = "dispatch_vehicle"
    __table_args__ = (
        Index("ix_dispatch_vehicle_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_vehicle_tenant_plate", "tenant_id", "plate", unique=True),
    )

    plate: Mapped[str] = mapped_column(String(30))
    name: Mapped[str] = mapped_column(String(100))
    equipment: Mapped[list[Any]]
    active: Mapped[bool]
    version: Mapped[int] = mapped_column(default=1)


class VehicleLayoutRow(TenantOwned, Table):
    """One way to arrange a vehicle; `load` has the dimensions of `domain.loads` in their order."""

    __tablename__ = "dispatch_vehicle_layout"

    vehicle_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_vehicle.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    load: Mapped[list[Any]]


class ShiftRow(_Owned, Table):
    """A driver and a vehicle for a stretch of time."""

    __tablename__ = "dispatch_shift"
    __table_args__ = (
        Index("ix_dispatch_shift_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_shift_tenant_day", "tenant_id", "day", "created_at", "id"),
    )

    driver_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_driver.id"))
    vehicle_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_vehicle.id"))
    day: Mapped[date]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class DutyRow(_Owned, Table):
    """What the planner fills: a shift with where it begins and ends."""

    __tablename__ = "dispatch_duty"
    __table_args__ = (Index("ix_dispatch_duty_tenant_day", "tenant_id", "day"),)

    shift_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_shift.id", ondelete="CASCADE"), index=True)
    day: Mapped[date]
    place_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_place.id"))
    earliest_start: Mapped[datetime]
    latest_end: Mapped[datetime]


class BookingRow(_Owned, Table):
    """A booking; its state is that of its trips."""

    __tablename__ = "dispatch_booking"
    __table_args__ = (
        Index("ix_dispatch_booking_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_booking_tenant_client", "tenant_id", "client_id", "created_at", "id"),
        Index("ix_dispatch_booking_tenant_requester", "tenant_id", "requester", "created_at", "id"),
        UniqueConstraint("tenant_id", "requester", "external_id"),
    )

    client_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_client.id"))
    requester: Mapped[str] = mapped_column(String(100))
    payer: Mapped[str] = mapped_column(String(20))
    origin: Mapped[str] = mapped_column(String(20))
    party: Mapped[str] = mapped_column(String(20), server_default="dispatcher")
    external_id: Mapped[str | None] = mapped_column(String(100))
    notes: Mapped[str] = mapped_column(String(2000))
    version: Mapped[int] = mapped_column(default=1)


class TripRow(_Owned, Table):
    """A trip."""

    __tablename__ = "dispatch_trip"
    __table_args__ = (
        Index("ix_dispatch_trip_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_trip_tenant_day", "tenant_id", "day", "created_at", "id"),
        Index("ix_dispatch_trip_tenant_state", "tenant_id", "state", "created_at", "id"),
        Index("ix_dispatch_trip_tenant_duty", "tenant_id", "duty_id"),
        UniqueConstraint("booking_id", "leg"),
    )

    booking_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_booking.id", ondelete="CASCADE"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_client.id"))
    leg: Mapped[int]
    day: Mapped[date]
    from_place_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_place.id"))
    to_place_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_place.id"))
    requirement: Mapped[dict[str, Any]]
    load: Mapped[list[Any]]
    time_rule: Mapped[str] = mapped_column(String(30))
    at: Mapped[datetime | None]
    pickup_earliest: Mapped[datetime | None]
    pickup_latest: Mapped[datetime | None]
    dropoff_earliest: Mapped[datetime | None]
    dropoff_latest: Mapped[datetime | None]
    promised_earliest: Mapped[datetime | None]
    promised_latest: Mapped[datetime | None]
    max_ride_s: Mapped[int]
    service_p_s: Mapped[int]
    service_d_s: Mapped[int]
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    duty_id: Mapped[UUID | None] = mapped_column(ForeignKey("dispatch_duty.id"))
    arrived_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(500))
    version: Mapped[int] = mapped_column(default=1)


class TripEventRow(Table):
    """What happened to a trip. No foreign key: the history of a trip outlives it, and its tenant."""

    __tablename__ = "dispatch_trip_event"
    __table_args__ = (
        {"info": {**APPEND_ONLY, OUTLIVES_TENANT: "what was driven, when and at whose word stays provable"}},
    )

    trip_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    command: Mapped[str] = mapped_column(String(30))
    from_state: Mapped[str] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(200))
    party: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]
    reported_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(500))
    tenant_id: Mapped[UUID] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class RunRow(_Owned, Table):
    """One attempt to plan a day."""

    __tablename__ = "dispatch_run"
    __table_args__ = (
        Index("ix_dispatch_run_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_run_tenant_day", "tenant_id", "day", "created_at", "id"),
        # A day is planned by one run at a time.
        Index(
            "ix_dispatch_run_active", "tenant_id", "day", unique=True,
            sqlite_where=text(_ACTIVE), postgresql_where=text(_ACTIVE),
        ),
    )  # fmt: skip

    day: Mapped[date]
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    job_id: Mapped[UUID | None]
    plan_id: Mapped[UUID | None]
    time_limit_s: Mapped[float]
    seed: Mapped[int]
    iterations: Mapped[int | None]
    solver_version: Mapped[str] = mapped_column(String(60))
    problem_hash: Mapped[str] = mapped_column(String(64))
    sources: Mapped[dict[str, Any]]
    matrix_ms: Mapped[float | None]
    solve_ms: Mapped[float | None]
    unserved: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(500))
    heartbeat_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class PlanRow(_Owned, Table):
    """One version of the plan of one day."""

    __tablename__ = "dispatch_plan"
    __table_args__ = (
        Index("ix_dispatch_plan_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_dispatch_plan_tenant_day", "tenant_id", "day", "created_at", "id"),
        UniqueConstraint("tenant_id", "day", "number"),
    )

    day: Mapped[date]
    number: Mapped[int]
    parent_id: Mapped[UUID | None]
    run_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_run.id"))
    state: Mapped[str] = mapped_column(String(20))
    metrics: Mapped[dict[str, Any]]
    published_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class PlanStopRow(TenantOwned, Table):
    """A stop of a duty in a plan."""

    __tablename__ = "dispatch_plan_stop"

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_plan.id", ondelete="CASCADE"), primary_key=True)
    duty_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_duty.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(10))
    place_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_place.id"))
    trip_id: Mapped[UUID | None] = mapped_column(ForeignKey("dispatch_trip.id"), index=True)
    planned_at: Mapped[datetime]
    leaves_at: Mapped[datetime]
    load: Mapped[list[Any]]


class ImportRow(_Owned, Table):
    """A file of bookings on its way in."""

    __tablename__ = "dispatch_import"
    __table_args__ = (Index("ix_dispatch_import_tenant_created_at", "tenant_id", "created_at", "id"),)

    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    file_id: Mapped[UUID]
    requester: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(20))
    job_id: Mapped[UUID | None]
    partial: Mapped[bool]
    rows: Mapped[int]
    known: Mapped[int]
    faulty: Mapped[int]
    booked: Mapped[int]
    reason: Mapped[str] = mapped_column(String(500))
    checked_at: Mapped[datetime | None]
    applied_at: Mapped[datetime | None]


class ImportFaultRow(TenantOwned, Table):
    """What is wrong with one cell of a file."""

    __tablename__ = "dispatch_import_fault"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("dispatch_import.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    row: Mapped[int]
    column: Mapped[str] = mapped_column(String(60))
    message: Mapped[str] = mapped_column(String(500))
    code: Mapped[str] = mapped_column(String(60))
