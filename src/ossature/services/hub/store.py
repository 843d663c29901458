"""Tables of the hub: which providers an operator has switched on or off."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert


class ProviderSwitchRow(Table):
    """A provider that an operator switched; those without a row are as their manifest says."""

    __tablename__ = "hub_provider_switch"

    provider: Mapped[str] = mapped_column(String(60), primary_key=True)
    enabled: Mapped[bool]
    reason: Mapped[str] = mapped_column(String(300))
    changed_at: Mapped[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Whether a provider may be asked, and why not."""

    provider: str
    enabled: bool
    reason: str
    changed_at: datetime


async def switches(db: Db) -> Sequence[Switch]:
    """Every switch that was ever moved."""
    row = ProviderSwitchRow
    found = await db.all(select(row.provider, row.enabled, row.reason, row.changed_at).order_by(row.provider))
    return [
        Switch(provider=each.provider, enabled=each.enabled, reason=each.reason, changed_at=each.changed_at)
        for each in found
    ]


async def save_switch(db: Db, switch: Switch) -> None:
    """Write a switch over the one before."""
    values = {"enabled": switch.enabled, "reason": switch.reason, "changed_at": switch.changed_at}
    statement = upsert(db, ProviderSwitchRow).values(provider=switch.provider, **values)
    await db.execute(statement.on_conflict_do_update(index_elements=["provider"], set_=values))
