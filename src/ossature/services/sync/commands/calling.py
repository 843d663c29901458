"""What every verb of sync shares: the tenant that it is for, how it ends, what people type.

What a verb does is imported when it is called: `ossature sync --help` answers without the house.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer
from typer._click.exceptions import UsageError  # Typer has no public name for what it says about a wrong call
from typer.core import TyperGroup

from ossature.kernel.cli.session import Session
from ossature.kernel.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

FAILED = 1
OfTenant = Annotated[str, typer.Option("--tenant", help="Short name of the tenant; the first one without it.")]
_T = TypeVar("_T")


class TenantUnknown(NotFound):
    """No tenant has that short name."""

    title = "Tenant unknown"


class Group(TyperGroup):
    """Verbs whose exit code 2 says that changes wait; a wrong call ends with 1."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - Typer's own types are private
        """The context of a call of this group."""
        try:
            return super().make_context(info_name, args, parent=parent, **extra)
        except UsageError as error:
            error.exit_code = FAILED
            raise

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """What the verb gives that was called."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            error.exit_code = FAILED
            raise


@asynccontextmanager
async def at(session: Session, tenant: str) -> "AsyncIterator[Ctx]":
    """A context of a tenant, committed at the end. Raises: TenantUnknown."""
    from ossature.kernel.tenants import store as tenants  # noqa: PLC0415 - see above

    async with session.house() as house:
        async with house.database.begin() as db:
            found = await (tenants.tenant_by_slug(db, tenant) if tenant else tenants.first_tenant(db))
        if found is None:
            raise TenantUnknown("There is no such tenant; `ossature admin-key` makes the first one.")
        async with house.occasion(tenant=found.brief) as ctx:
            yield ctx


def ended(session: Session, work: Coroutine[Any, Any, _T]) -> _T:
    """What work gives; a refusal that has an exit code of its own ends the command with it."""
    try:
        return session.run(work)
    except Problem as problem:
        code = getattr(problem, "exit_code", None)
        if code is None:
            raise
        session.out.remark(f"ossature: {problem.detail or problem.title}")
        raise typer.Exit(code) from problem


async def interruptible(ctx: "Ctx", run_id: UUID, work: Awaitable[_T]) -> _T:
    """What work on a run gives; the first interrupt (SIGINT) pauses the run after its present operation.

    A second one ends the process at once, with that operation in doubt.
    """
    from ossature.services.sync.store.journal import Journal  # noqa: PLC0415 - see above

    if threading.current_thread() is not threading.main_thread():
        return await work  # only the main thread hears of interrupts
    loop = asyncio.get_running_loop()
    asked: list[asyncio.Task[None]] = []

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # the next one is Python's own
        asked.append(loop.create_task(ctx.port(Journal).halt(ctx.tenant.id, run_id)))

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        await asyncio.gather(*asked)


def run_id_of(text: str) -> UUID:
    """The id of a run. Raises: InvalidInput."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no run's id.") from None


def pairs(fields: Sequence[str]) -> dict[str, str]:
    """What was typed as name=value. Raises: InvalidInput."""
    wrong = [field for field in fields if "=" not in field]
    if wrong:
        raise InvalidInput(f"{wrong[0]!r}: write name=value.")
    return {name: value for name, _, value in (field.partition("=") for field in fields)}
