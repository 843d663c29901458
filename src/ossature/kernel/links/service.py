"""Signed links as a part of the house."""

from typing import TYPE_CHECKING, Final

from ossature.kernel.http.secret import installation_secret
from ossature.kernel.links import api
from ossature.kernel.links.jobs import DELETE_SPENT
from ossature.kernel.links.store import LinkRow
from ossature.kernel.links.usecases import Links
from ossature.kernel.quotas.limiter import EdgeLimiter
from ossature.kernel.service import Personal, Service

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _links(house: "House") -> Links:
    return Links(house.database, installation_secret(house.settings), house.port(EdgeLimiter))


service: Final = Service(
    name="links",
    title="Signed links",
    router=api.router,
    tables=(LinkRow,),
    jobs=(DELETE_SPENT,),
    offers={Links: _links},
    needs=(EdgeLimiter,),
    personal=(Personal("links_link.subject", "delete_row"),),
    permissions=frozenset({"read:links", "write:links"}),
)
