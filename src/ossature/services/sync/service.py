"""The door plate of the service that keeps records of one system equal in another."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ossature.contracts.sync import FACTS
from ossature.kernel.observe.rules import died
from ossature.kernel.service import Alert, Page, Role, Service, objectives
from ossature.services.sync.api.router import router
from ossature.services.sync.commands.verbs import app
from ossature.services.sync.jobs import APPLY_RUN, MAKE_PLAN, RUN_PIPELINES, START_RUN, TAKE_UP
from ossature.services.sync.ports import Connectors
from ossature.services.sync.providers.connectors import OwnConnectors
from ossature.services.sync.providers.n2f_codec import OPERATIONS
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store.journal import Journal
from ossature.services.sync.store.tables import TABLES
from ossature.services.sync.usecases.demo import fill_demo

_OPERATES = frozenset({"read:sync", "plan:sync", "apply:sync"})
_PAGES = "ossature.services.sync.pages"

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _connectors(house: "House") -> OwnConnectors:
    settings = house.config[SyncSettings]
    files_dir = Path(settings.files_dir) if settings.files_dir else house.config.main.var_dir / "sync"
    return OwnConnectors(settings, files_dir=files_dir, out=lambda: (house.outbound.exchange, house.ledger))


def _simulated(url: str) -> dict[str, str]:
    """Targets are those of the simulator, with an account that it knows."""
    return {
        SyncSettings.variable("sim_url"): url,
        SyncSettings.variable("secret_n2f_client_id"): "sim-n2f-fast",
        SyncSettings.variable("secret_n2f_client_secret"): "sim-secret",
    }


service: Final = Service(
    name="sync",
    title="Records of one system kept equal in another",
    settings=(SyncSettings,),
    router=router,
    tables=TABLES,
    facts=FACTS,
    operations=OPERATIONS,
    offers={Connectors: _connectors, Journal: lambda house: Journal(house.database)},
    jobs=(MAKE_PLAN, RUN_PIPELINES, START_RUN, APPLY_RUN, TAKE_UP),
    commands=app,
    pages=(
        Page(
            path="/sync/pipelines",
            title="Pipelines",
            build=f"{_PAGES}.pipelines:pipelines",
            allow="read:sync",
            menu="Sync",
        ),
        Page(path="/sync/plans", title="Plans", build=f"{_PAGES}.plans:plans", allow="read:sync", menu="Sync"),
        Page(path="/sync/plans/{sha256}", title="Plan", build=f"{_PAGES}.plans:plan", allow="read:sync"),
        Page(path="/sync/runs", title="Runs", build=f"{_PAGES}.runs:runs", allow="read:sync", menu="Sync"),
        Page(path="/sync/runs/{run_id:uuid}", title="Run", build=f"{_PAGES}.runs:run", allow="read:sync"),
    ),
    demo=fill_demo,
    slos=objectives(
        "GET /v1/sync/pipelines",
        "GET /v1/sync/pipelines/{pipeline}",
        "GET /v1/sync/connections",
        "GET /v1/sync/plans",
        "GET /v1/sync/plans/{sha256}",
        "GET /v1/sync/plans/{sha256}/ops",
        "GET /v1/sync/runs",
        "GET /v1/sync/runs/{sync_run_id}",
        "GET /v1/sync/runs/{sync_run_id}/ops",
        "GET /v1/sync/status",
        "GET /v1/sync/quarantine",
        "GET /v1/sync/records",
        "POST /v1/sync/pipelines",
        "PUT /v1/sync/pipelines/{pipeline}",
        "POST /v1/sync/plans",
        "POST /v1/sync/plans/{sha256}/approve",
        "POST /v1/sync/runs",
        p95_ms=300,
        availability=0.995,
    ),
    alerts=(
        Alert(
            "SyncRunsDie",
            died(APPLY_RUN.name),
            0,
            "critical",
            "A run stopped before its end; what it did stands in its journal",
            "sync-runs-die",
        ),
        Alert(
            "SyncPlansDie",
            f"{died(MAKE_PLAN.name)} or {died(RUN_PIPELINES.name)}",
            0,
            "warning",
            "The job {{ $labels.exported_job }} made no plan: source or target could not be read",
            "sync-runs-die",
        ),
    ),
    simulated=_simulated,
    permissions=_OPERATES | {"approve:sync", "manage:sync"},
    roles=(
        Role("sync_viewer", frozenset({"read:sync"}), "Sees what is kept equal, plans and runs"),
        Role("sync_operator", _OPERATES, "Plans, and applies what nothing forbids"),
        Role("sync_approver", frozenset({"read:sync", "approve:sync"}), "Lets plans be applied that a guard forbids"),
    ),
)
