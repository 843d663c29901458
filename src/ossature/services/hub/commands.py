"""`ossature hub`: providers and operations, one question, a chat, the ledger.

What a verb does is imported when it is called: help comes at once.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx
    from ossature.kernel.outbound.ledger.values import Difference
    from ossature.kernel.outbound.operation import Operation

app = typer.Typer(no_args_is_help=True, help="Ask the outside world; see who answers, what it costs and what is left.")
ledger = typer.Typer(no_args_is_help=True, help="The quota ledger.")
app.add_typer(ledger, name="ledger")

Category = Annotated[str | None, typer.Option(help="Only this category, such as weather.")]


@app.command()
def providers(
    ctx: typer.Context,
    *,
    category: Category = None,
    keyless: Annotated[bool, typer.Option("--keyless", help="Only those that need no key.")] = False,
) -> None:
    """Every provider: what it answers, whether it can be asked, and what is in the way.

    Example: ossature hub providers --keyless
    """
    from ossature.services.hub.providers import PROVIDERS  # noqa: PLC0415 - see above
    from ossature.services.hub.usecases.providers import providers_standing  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    known = _operations()
    kept = [
        each
        for each in PROVIDERS
        if category in (None, *(known[operation].category for operation in each.operations))
        and not (keyless and each.manifest.auth.need == "required")
    ]

    async def work() -> list[dict[str, Any]]:
        async with session.ctx() as house:
            found = await providers_standing(house, kept)
        return [
            {
                "id": each.provider.id,
                "operations": ", ".join(each.provider.operations),
                "status": each.status,
                "usable": each.usable,
                "why not": each.why_not,
                "missing": ", ".join(each.missing),
            }
            for each in found
        ]

    session.out.table(session.run(work()), empty="No such provider.")


@app.command()
def operations(ctx: typer.Context, *, category: Category = None) -> None:
    """Everything that can be asked, and who answers.

    Example: ossature hub operations --category finance
    """
    from ossature.services.hub.providers import PROVIDERS  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    rows = [
        {
            "id": operation.id,
            "title": operation.title,
            "providers": ", ".join(each.id for each in PROVIDERS if operation.id in each.codecs),
        }
        for operation in _operations().values()
        if category in (None, operation.category)
    ]
    session.out.table(rows, empty="No such category.")


@app.command("missing-keys")
def missing_keys(ctx: typer.Context) -> None:
    """Settings that would make more providers usable. Only their names are known here.

    Example: ossature hub missing-keys
    """
    from ossature.kernel.outbound.credentials import Credentials  # noqa: PLC0415 - see above
    from ossature.services.hub.providers import PROVIDERS  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> list[dict[str, str]]:
        async with session.ctx() as house:
            known = house.port(Credentials)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
            return [
                {"provider": each.id, "setting": name} for each in PROVIDERS for name in known.missing(each.manifest)
            ]

    session.out.table(session.run(work()), empty="Nothing is missing.")


@app.command()
def call(
    ctx: typer.Context,
    operation: Annotated[str, typer.Argument(help="Such as weather.current.")],
    fields: Annotated[list[str] | None, typer.Argument(help="The question: name=value ...")] = None,
    *,
    policy: Annotated[str | None, typer.Option(help="free_first, fast, cheap or quality.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say who would be asked; ask nobody.")] = False,
) -> None:
    """Ask one question; the answer and where it comes from, as JSON.

    Example: ossature hub call weather.current latitude=46.2 longitude=6.14
    """
    from pydantic import TypeAdapter  # noqa: PLC0415 - see above

    from ossature.kernel.outbound.engine import Engine  # noqa: PLC0415 - see above
    from ossature.services.hub.usecases.questions import question_of_texts  # noqa: PLC0415 - see above

    session = Session.of(ctx)
    texts = dict(_pair(field) for field in fields or ())
    options: dict[str, Any] = {"policy": policy} if policy else {}
    if provider:
        options = {"policy": "pinned", "order": (provider,)}

    async def work() -> Any:  # noqa: ANN401 - any JSON value
        async with session.ctx() as house:
            engine = house.port(Engine)
            query = question_of_texts(engine.operation(operation), texts)
            found = await (engine.explain if explain else engine.ask)(house, operation, query, **options)
        return TypeAdapter(type(found)).dump_python(found, mode="json", exclude={"raw"})

    answer = session.run(work())
    session.out.value(answer, msgspec.json.format(msgspec.json.encode(answer)).decode())


@app.command()
def chat(
    ctx: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(help="What to say; without it lines are read until the end.")
    ] = None,
    *,
    model: Annotated[
        str, typer.Option("--model", "-m", help="provider/model, or a name such as auto or cheap.")
    ] = "auto",
) -> None:
    """Talk to a language model; its words come as they are said.

    Example: ossature hub chat -m fast "What is a quota?"
    """
    session = Session.of(ctx)
    said: list[Mapping[str, str]] = []

    async def work() -> None:
        async with session.ctx() as house:
            if text:
                await _turn(house, said, " ".join(text), model)
                return
            while line := sys.stdin.readline():
                if line.strip():
                    await _turn(house, said, line.strip(), model)

    session.run(work())


@ledger.command()
def verify(
    ctx: typer.Context,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Set counters to the sum of their attempts.")] = False,
) -> None:
    """Prove that every counter is the sum of its attempts. Exit code 1 when one is not.

    Example: ossature hub ledger verify
    """
    from pydantic import TypeAdapter  # noqa: PLC0415 - see above

    from ossature.kernel.outbound.ledger.values import Difference, Ledger  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "list[Difference]":
        async with session.house() as house:
            counted = house.port(Ledger)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
            return await (counted.repair() if repair else counted.verify())

    found = session.run(work())
    rows = [TypeAdapter(Difference).dump_python(each, mode="json") for each in found]
    session.out.table(rows, empty="Every counter is the sum of its attempts.")
    if found and not repair:
        raise typer.Exit(1)


def _operations() -> "Mapping[str, Operation]":
    from ossature.services.hub.ports import CHAT, OPERATIONS  # noqa: PLC0415 - see above

    return {operation.id: operation for operation in (*OPERATIONS, CHAT)}


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []


async def _turn(ctx: "Ctx", said: list[Mapping[str, str]], text: str, model: str) -> None:
    """Say something and print what comes back; both are remembered in `said`."""
    from ossature.services.hub.domain.chat import read  # noqa: PLC0415 - see above
    from ossature.services.hub.usecases.chat import Chats  # noqa: PLC0415 - see above

    said.append({"role": "user", "content": text})
    request = read(msgspec.json.encode({"model": model, "messages": said, "stream": True}))
    words: list[str] = []
    async with ctx.port(Chats).tell(ctx, request) as told:
        async for block in told:
            for word in _words(block):
                words.append(word)
                typer.echo(word, nl=False)
    typer.echo()
    typer.echo(f"[{told.seat}]", err=True)
    said.append({"role": "assistant", "content": "".join(words)})


def _words(block: bytes) -> list[str]:
    events = (event.removeprefix(b"data: ") for event in block.split(b"\n\n"))
    chunks = [msgspec.json.decode(event, type=_Chunk) for event in events if event.startswith(b"{")]
    return [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]


def _pair(field: str) -> tuple[str, str]:
    name, equals, value = field.partition("=")
    if not equals:
        raise InvalidInput(f"{field!r}: write name=value.")
    return name, value
