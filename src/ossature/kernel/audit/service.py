"""The audit trail as a part of the house."""

from typing import Final

from ossature.kernel.audit import store
from ossature.kernel.audit.api import router
from ossature.kernel.audit.jobs import ANCHOR, AuditAnchored
from ossature.kernel.db.chain import AnchorRow, ChainHeadRow
from ossature.kernel.observe.rules import died
from ossature.kernel.service import Alert, Fact, Service, objectives

service: Final = Service(
    name="audit",
    title="Audit trail",
    router=router,
    tables=(store.AuditRow, ChainHeadRow, AnchorRow),
    jobs=(ANCHOR,),
    facts=(Fact(type=AuditAnchored, wire="audit.anchored", key="chain_tenant_id"),),
    slos=objectives("GET /v1/audit", "GET /v1/audit/{seq}", p95_ms=500, availability=0.995),
    alerts=(
        Alert(
            "AuditTrailBroken",
            died(ANCHOR.name),
            0,
            "critical",
            "An audit trail could not be vouched for: entries are missing or altered",
            "audit-trail-broken",
        ),
    ),
    permissions=frozenset({"read:audit", "export:audit"}),
)
