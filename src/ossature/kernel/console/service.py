"""The console as a part of the house: its door, and the pages about the kernel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp

from ossature.kernel.console.door import ROOT, Assets, Door
from ossature.kernel.errors import Misconfigured
from ossature.kernel.service import Mount, Page, Policy, Service

if TYPE_CHECKING:
    from ossature.kernel.house import House

_HERE = "ossature.kernel.console.pages"


def installed() -> bool:
    """Whether what the console is made with is there (extra `console`)."""
    return find_spec("nicegui") is not None


def _build(house: "House") -> ASGIApp:
    """The console's application. Raises: Misconfigured when its toolkit is not installed."""
    if not installed():
        raise Misconfigured("The console needs the extra: pip install 'ossature[console]'.")
    from ossature.kernel.console import toolkit  # noqa: PLC0415 - heavy, and only here is it needed

    assets = Assets()
    return Door(assets, toolkit.assemble(house, assets))


def _lead_in(house: "House") -> ASGIApp:
    """What answers at the root: the way to the console."""
    del house
    return RedirectResponse(f"{ROOT}/", 307)


@asynccontextmanager
async def _open(house: "House") -> AsyncIterator[None]:
    from ossature.kernel.console import toolkit  # noqa: PLC0415 - as above; `_build` was there before

    async with toolkit.running(house):
        yield


service: Final = Service(
    name="console",
    title="The web console",
    mounts=(
        Mount(
            path=f"{ROOT}/",
            build=_build,
            policy=Policy(public=True, rate="none", effects=False),
            lifespan=_open,
        ),
        Mount(path="/", build=_lead_in, policy=Policy(public=True, rate="none")),
    ),
    pages=(
        Page(path="/", title="Overview", build=f"{_HERE}.home:overview", allow="*", menu=""),
        Page(
            path="/jobs",
            title="Jobs",
            build=f"{_HERE}.jobs:jobs",
            allow="read:jobs",
            menu="Work",
            find=f"{_HERE}.jobs:find",
        ),
        Page(path="/jobs/{job_id:uuid}", title="Job", build=f"{_HERE}.job:job", allow="read:jobs"),
        Page(
            path="/schedules",
            title="Schedules",
            build=f"{_HERE}.schedules:schedules",
            allow="read:platform",
            menu="Work",
            find=f"{_HERE}.schedules:find",
        ),
        Page(
            path="/webhooks",
            title="Webhooks",
            build=f"{_HERE}.webhooks:endpoints",
            allow="read:webhooks",
            menu="Work",
            find=f"{_HERE}.webhooks:find",
        ),
        Page(
            path="/webhooks/{endpoint_id:uuid}",
            title="Webhook",
            build=f"{_HERE}.webhook:endpoint",
            allow="read:webhooks",
        ),
        Page(
            path="/audit",
            title="Audit trail",
            build=f"{_HERE}.audit:trail",
            allow="read:audit",
            menu="Trust",
            find=f"{_HERE}.audit:find",
        ),
        Page(
            path="/keys",
            title="API keys",
            build=f"{_HERE}.keys:keys",
            allow="read:keys",
            menu="Trust",
            find=f"{_HERE}.keys:find",
        ),
        Page(
            path="/flags",
            title="Flags",
            build=f"{_HERE}.flags:flags",
            allow="read:flags",
            menu="House",
            find=f"{_HERE}.flags:find",
        ),
        Page(path="/flags/own/{name}", title="Flag", build=f"{_HERE}.flag:own_flag", allow="read:flags"),
        Page(path="/flags/house/{name}", title="Flag", build=f"{_HERE}.flag:house_flag", allow="read:platform"),
        Page(path="/account", title="Your account", build=f"{_HERE}.account:account", allow="*"),
        Page(path="/traffic", title="Traffic", build=f"{_HERE}.traffic:traffic", allow="read:platform", menu="House"),
        Page(
            path="/levels",
            title="Service levels",
            build=f"{_HERE}.levels:levels",
            allow="read:platform",
            menu="House",
            find=f"{_HERE}.levels:find",
        ),
        Page(path="/levels/route", title="Service level", build=f"{_HERE}.level:level", allow="read:platform"),
        Page(path="/cost", title="Cost", build=f"{_HERE}.cost:cost", allow="read:usage", menu="House"),
        Page(path="/health", title="Health", build=f"{_HERE}.health:health", allow="read:health", menu="House"),
        Page(
            path="/settings",
            title="Settings",
            build=f"{_HERE}.settings:settings",
            allow="read:settings",
            menu="House",
            find=f"{_HERE}.settings:find",
        ),
    ),
    permissions=frozenset({"read:settings"}),
)
