"""Which dashboards there are: one for each service, made of what it declares, and those about the whole house.

`ossature dashboards write` writes them for an installation with other services; a law of the house holds those that are
shipped, and a journey asks a real Prometheus each of their questions.
"""

import json
from collections.abc import Sequence
from typing import Final

from ossature.kernel.observe.boards import of_house, of_service
from ossature.kernel.observe.boards.grafana import Board, document
from ossature.kernel.service import Service

COMMAND: Final = "ossature dashboards write"


def boards(services: Sequence[Service], guests: Sequence[Service]) -> tuple[Board, ...]:
    """All dashboards. services: everybody; guests: those that get a dashboard of their own."""
    own = (of_service.board(guest) for guest in guests)
    return (*own, of_house.levels(services), of_house.BUSINESS, of_house.INFRASTRUCTURE)


def files(services: Sequence[Service], guests: Sequence[Service]) -> dict[str, str]:
    """The dashboards as JSON, by the names of their files."""
    made = boards(services, guests)
    return {f"{board.name}.json": json.dumps(document(board), indent=1, ensure_ascii=False) + "\n" for board in made}
