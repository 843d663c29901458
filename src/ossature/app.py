"""The product: which services stand on the kernel. The only file that names them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer

    from ossature.kernel.service import Service


def services() -> tuple[Service, ...]:
    """Every service of this product, in the order of their pages.

    Imported here and not above: `ossature --help` answers without loading any of them.
    """
    from ossature.services.dispatch.service import service as dispatch  # noqa: PLC0415
    from ossature.services.hub.service import service as hub  # noqa: PLC0415
    from ossature.services.predict.service import service as predict  # noqa: PLC0415
    from ossature.services.sync.service import service as sync  # noqa: PLC0415

    return (hub, dispatch, predict, sync)


def commands(name: str) -> Typer | None:
    """The verbs of one service, as its door plate has them; None when nobody has that name.

    Nothing else of the product is imported for them: what a verb does, it loads when it is called.
    """
    match name:
        case "dispatch":
            from ossature.services.dispatch.commands import app  # noqa: PLC0415 - only what was asked for
        case "hub":
            from ossature.services.hub.commands import app  # noqa: PLC0415 - likewise
        case "predict":
            from ossature.services.predict.commands import app  # noqa: PLC0415 - likewise
        case "sync":
            from ossature.services.sync.commands.verbs import app  # noqa: PLC0415 - likewise
        case _:
            return None
    return app


def main() -> None:
    """The command `ossature`."""
    from ossature.kernel.cli.main import run  # noqa: PLC0415

    sys.exit(run(services, sys.argv[1:], commands=commands))


if __name__ == "__main__":
    main()
