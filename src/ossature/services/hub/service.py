"""What the hub brings to the house."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from ossature.contracts.hub import Chat, Geocoder, Weather
from ossature.kernel.events.signals import Signals
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.credentials import Credentials, PlatformCredentials
from ossature.kernel.outbound.engine import Engine
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.service import Objective, Page, Rate, Service, objectives
from ossature.services.hub import commands, store
from ossature.services.hub.api.mounts import MOUNTS
from ossature.services.hub.api.router import router
from ossature.services.hub.ports import CHAT, OPERATIONS
from ossature.services.hub.providers import MODEL_PROVIDERS, PROVIDERS
from ossature.services.hub.settings import HubSettings
from ossature.services.hub.usecases.chat import Chats
from ossature.services.hub.usecases.demo import fill_demo
from ossature.services.hub.usecases.promises import HubChat, HubGeocoder, HubWeather
from ossature.services.hub.usecases.seating import Seating
from ossature.services.hub.usecases.switching import Switchboard

if TYPE_CHECKING:
    from ossature.kernel.house import House

_PAGES = "ossature.services.hub.pages"


def _credentials(house: "House") -> PlatformCredentials:
    return PlatformCredentials(house.config[HubSettings].keys, variable_prefix=HubSettings.variable("KEY_"))


def _surroundings(house: "House") -> Surroundings:
    settings = house.config[HubSettings]
    return Surroundings(
        contact=settings.contact,
        sim_url=settings.sim_url,
        private_hosts=frozenset(settings.private_hosts),
        time_limit_s=settings.total_time_limit_s,
        policy=settings.default_policy,
        off=house.port(Switchboard).off,
    )


def _switchboard(house: "House") -> Switchboard:
    return Switchboard(house.database, house.port(Signals))


def _follow_switches(house: "House") -> AbstractAsyncContextManager[None]:
    return house.port(Switchboard).following()


def _chats(house: "House") -> Chats:
    engine, board = house.port(Engine), house.port(Board)
    seating = Seating(
        engine,
        MODEL_PROVIDERS,
        board=board,
        credentials=house.port(Credentials),  # type: ignore[type-abstract] # a promise is asked for by its Protocol
        settings=house.config[HubSettings],
    )
    return Chats(engine.exchange, seating, board)


def _simulated(url: str) -> dict[str, str]:
    """Everything is asked of the simulator, with the keys that it knows."""
    keyed = (one.id for one in PROVIDERS if one.manifest.auth.need == "required")
    return {
        HubSettings.variable("sim_url"): url,
        HubSettings.variable("contact"): "operator@example.org",
        **{HubSettings.variable(f"key_{name}"): f"sim-{name}" for name in keyed},
    }


service: Final = Service(
    name="hub",
    title="One API for AI, data and actions",
    settings=(HubSettings,),
    router=router,
    mounts=MOUNTS,
    commands=commands.app,
    tables=(store.ProviderSwitchRow,),
    operations=(*OPERATIONS, CHAT),
    providers=PROVIDERS,
    offers={
        Credentials: _credentials,
        Surroundings: _surroundings,
        Switchboard: _switchboard,
        Chats: _chats,
        Geocoder: lambda _: HubGeocoder(),
        Weather: lambda _: HubWeather(),
        Chat: lambda house: HubChat(house.port(Chats)),
    },
    lifespan=_follow_switches,
    pages=(
        Page(
            path="/providers",
            title="Providers",
            build=f"{_PAGES}.providers:providers",
            allow="read:hub",
            menu="Hub",
            find=f"{_PAGES}.providers:find",
        ),
        Page(path="/providers/{provider_id}", title="Provider", build=f"{_PAGES}.providers:provider", allow="read:hub"),
        Page(path="/route", title="Route", build=f"{_PAGES}.route:route", allow="read:hub", menu="Hub"),
        Page(
            path="/playground",
            title="Playground",
            build=f"{_PAGES}.playground:playground",
            allow="call:hub",
            menu="Hub",
        ),
    ),
    permissions=frozenset({"read:hub", "call:hub", "call:hub.chat", "read:hub.raw"}),
    limits=(Rate("chat", [(6_000, 60)]),),
    demo=fill_demo,
    slos=(
        # How long an answer is made is the model's affair, and fallbacks take their time.
        Objective("POST /v1/chat/completions", p95_ms=30_000, availability=0.99),
        *objectives("GET /v1/models", "GET /v1/models/{model}", p95_ms=100, availability=0.995),
        *objectives(
            "GET /v1/hub/weather/current",
            "GET /v1/hub/weather/forecast",
            "GET /v1/hub/finance/fx_rates",
            "GET /v1/hub/finance/fx_convert",
            "GET /v1/hub/geo/forward",
            p95_ms=2000,
            availability=0.99,
        ),
        *objectives("GET /v1/hub/providers", "GET /v1/hub/quotas", p95_ms=300, availability=0.995),
    ),
    simulated=_simulated,
)
