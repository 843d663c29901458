"""`ossature webhooks`: does an endpoint hear us."""

from typing import Annotated, Any
from uuid import UUID

import typer

from ossature.kernel.cli import remote
from ossature.kernel.cli.session import Session
from ossature.kernel.context import SYSTEM
from ossature.kernel.webhooks import usecases

app = typer.Typer(no_args_is_help=True, help="Send a test event to an endpoint.")


@app.callback()
def group() -> None:
    """Send a test event to an endpoint."""


@app.command("test")
def send_test(
    ctx: typer.Context,
    endpoint: Annotated[UUID, typer.Argument(help="The endpoint's id.")],
    tenant: Annotated[UUID | None, typer.Option(help="Whose it is; not needed with --server.")] = None,
) -> None:
    """Send a test event to an endpoint; a worker delivers it.

    Example: ossature webhooks test 0190b5d7-... --tenant 0190b5d0-...
    """
    session = Session.of(ctx)

    async def work() -> dict[str, Any]:
        if session.server:
            answer: dict[str, Any] = await remote.call(session, "POST", f"/v1/webhooks/{endpoint}/test")
            return answer
        if tenant is None:
            raise typer.BadParameter("--tenant says whose endpoint it is")
        async with session.house() as house:
            owner = await house.tenant(tenant)
            async with house.occasion(owner, SYSTEM) as occasion:
                delivery = await usecases.send_test(occasion, endpoint)
        return {"id": str(delivery.id), "state": str(delivery.state)}

    sent = session.run(work())
    session.out.value(sent, f"Delivery {sent['id']} is on its way.")
