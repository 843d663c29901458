"""`ossature admin-key`: a new administrator's key, for whoever has the machine and lost the first one."""

from typing import Annotated

import typer
from typer import Context

from ossature.kernel.auth.bootstrap import another_admin, ensure_first_admin
from ossature.kernel.cli.session import Session
from ossature.kernel.db import migrate
from ossature.kernel.errors import Conflict

app = typer.Typer()


class NobodyLivesHere(Conflict):
    """The database has no tables yet: `ossature migrate up` makes them."""

    title = "Nobody lives here"


@app.command()
def admin_key(
    ctx: Context, name: Annotated[str, typer.Option(help="What the key is called.")] = "administrator"
) -> None:
    """Print a new administrator's key of the first tenant, which is made if there is none. It is shown this once.

    Example: ossature admin-key --name laptop
    """
    session = Session.of(ctx)
    session.run(_issue(session, name))


async def _issue(session: Session, name: str) -> None:
    async with session.database() as database:
        if not await migrate.current(database):
            raise NobodyLivesHere
        made = await ensure_first_admin(database) or await another_admin(database, name=name)
    if made is None:
        raise NobodyLivesHere
    session.out.value({"tenant": made.tenant.slug, "key": made.secret}, made.secret)
