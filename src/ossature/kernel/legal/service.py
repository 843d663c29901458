"""Legal documents as a part of the house."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ossature.kernel.legal import api
from ossature.kernel.legal.library import Library
from ossature.kernel.legal.promises import Promises
from ossature.kernel.legal.settings import LegalSettings
from ossature.kernel.legal.store import AcceptanceRow
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.service import Personal, Service

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _library(house: "House") -> Library:
    folder = house.settings[LegalSettings].dir
    return Library(Path(folder) if folder else None)


def _promises(house: "House") -> Promises:
    return Promises({service.name: service.slos for service in house.services if service.slos})


service: Final = Service(
    name="legal",
    title="Legal documents",
    router=api.router,
    tables=(AcceptanceRow,),
    settings=(LegalSettings,),
    offers={Library: _library, Promises: _promises},
    needs=(Plans,),
    personal=(Personal("legal_acceptance.ip", "null"),),
    permissions=frozenset({"read:legal"}),
)
