"""What predict brings to the house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ossature.kernel.observe.rules import died
from ossature.kernel.service import Alert, Objective, Page, Role, Service, objectives
from ossature.services.predict import commands
from ossature.services.predict.api.router import router
from ossature.services.predict.jobs import FREEZE_ALL, JOBS, PRICE_ALL
from ossature.services.predict.ports import MatchFiles
from ossature.services.predict.providers.matches_files import ParquetFiles
from ossature.services.predict.settings import PredictSettings
from ossature.services.predict.store.tables import TABLES
from ossature.services.predict.usecases.demo import fill_demo
from ossature.services.predict.usecases.pricing import Forecasters

if TYPE_CHECKING:
    from ossature.kernel.house import House

_PAGES: Final = "ossature.services.predict.pages"
_READS: Final = frozenset({"read:predict.public", "read:predict.forecasts"})
_OPERATES: Final = _READS | {"run:predict.collect", "run:predict.price"}


@asynccontextmanager
async def _forecasting(house: "House") -> AsyncIterator[None]:
    """The process that forecasts is ended with the one that uses it."""
    try:
        yield
    finally:
        await house.port(Forecasters).close()


service: Final = Service(
    name="predict",
    title="Match prediction",
    settings=(PredictSettings,),
    router=router,
    tables=TABLES,
    jobs=JOBS,
    offers={Forecasters: lambda _: Forecasters(), MatchFiles: lambda _: ParquetFiles()},
    lifespan=_forecasting,
    commands=commands.app,
    pages=(
        Page(
            path="/predict/matches",
            title="Matches",
            build=f"{_PAGES}.matches:matches",
            allow="read:predict.forecasts",
            menu="Predict",
            find=f"{_PAGES}.matches:find",
        ),
        Page(
            path="/predict/matches/{match_id:uuid}",
            title="Match",
            build=f"{_PAGES}.match:match",
            allow="read:predict.forecasts",
        ),
        Page(
            path="/predict/reliability",
            title="Reliability",
            build=f"{_PAGES}.worth:worth",
            allow="read:predict.public",
            menu="Predict",
        ),
    ),
    demo=fill_demo,
    slos=(
        *objectives(
            "GET /v1/predict/matches/{match_id}/forecast",
            "GET /v1/predict/predictions/{prediction_id}",
            p95_ms=100,
            availability=0.995,
        ),
        *objectives(
            "GET /v1/predict/competitions",
            "GET /v1/predict/matches",
            "GET /v1/predict/matches/{match_id}",
            "GET /v1/predict/matches/{match_id}/odds",
            p95_ms=300,
            availability=0.995,
        ),
        Objective("GET /v1/predict/evaluation/summary", p95_ms=1000, availability=0.99),
    ),
    alerts=(
        Alert(
            "PredictFreezeFails",
            died(FREEZE_ALL.name),
            0,
            "critical",
            "Forecasts were not frozen: a match may start without one",
            "predict-freeze-fails",
        ),
        Alert(
            "PredictForecastsStale",
            died(PRICE_ALL.name),
            0,
            "warning",
            "Matches were not forecast anew: what is shown is older than an hour",
            "predict-freeze-fails",
        ),
    ),
    permissions=_OPERATES,
    roles=(
        Role("analyst", _READS, "Reads forecasts and what they were worth"),
        Role("forecaster", _OPERATES, "Imports matches, has them predicted and frozen"),
    ),
)
