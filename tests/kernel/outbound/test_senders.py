"""The ways out beside HTTP: programs, files, mail servers, and answers that are computed here."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from ossature.kernel import deadline
from ossature.kernel.outbound.breaker import BreakerKey
from ossature.kernel.outbound.credentials import Credential
from ossature.kernel.outbound.http import Outcome, Undelivered
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import (
    Account,
    AccountField,
    Codec,
    Document,
    ErrorKind,
    Mail,
    Manifest,
    Program,
    Provider,
    Refusal,
    Reply,
    TimeLimits,
)
from ossature.kernel.outbound.senders.file import FileSender
from ossature.kernel.outbound.senders.process import ProcessSender
from ossature.kernel.outbound.senders.smtp import SmtpSender
from ossature.kernel.outbound.threads import Brink, in_thread
from tests.kernel.outbound.conftest import Bench, Question, Someone, Weather

PYTHON = sys.executable
DROP = "drop"


def a_candidate(credential: Credential | None = None, **manifest: Any) -> Candidate:
    codec: Codec[Any, Any] = Codec(compute=lambda _, __: None)
    provider = Provider(Manifest(id="local_thing", title="Thing", **manifest), {"thing.do": codec})
    return Candidate(
        provider=provider,
        credential=credential or Credential(),
        codec=codec,
        account=Account(),
        breaker=BreakerKey("local_thing", "thing"),
    )


def python(script: str, **more: Any) -> Program:
    return Program((PYTHON, "-c", script), **more)


async def ran(program: Program, **manifest: Any) -> Reply:
    candidate = a_candidate(transport="process", programs=(PYTHON, "cat", "no-such-program"), **manifest)
    return await ProcessSender().send(program, candidate)


async def undelivered(sending: Any) -> Undelivered:
    with pytest.raises(Undelivered) as raised:
        await sending
    return raised.value


async def test_a_program_reads_and_prints() -> None:
    reply = await ran(Program(("cat",), stdin="zwölf".encode()))
    assert (reply.ok, reply.text(), reply.header("exit-code")) == (True, "zwölf", "0")


async def test_a_program_that_fails_has_answered() -> None:
    reply = await ran(python("import sys; print('half'); print('why', file=sys.stderr); sys.exit(7)"))
    assert (reply.ok, reply.status, reply.header("exit-code"), reply.header("stderr").strip()) == (
        False,
        500,
        "7",
        "why",
    )
    assert reply.body == b"half\n"


async def test_no_shell_reads_the_arguments() -> None:
    said = await ran(Program((PYTHON, "-c", "import sys; print(sys.argv[1])", "$(id); rm -rf * | true")))
    assert said.text().strip() == "$(id); rm -rf * | true"


async def test_a_program_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSSATURE_HUB_KEY_GROQ", "canary")
    reply = await ran(python("import os; print(sorted(os.environ), os.getcwd(), os.listdir())"))
    assert "canary" not in reply.text()
    assert "OSSATURE" not in reply.text()
    assert str(Path.cwd()) not in reply.text()


@pytest.mark.parametrize("argv", [("no-such-program",), ("sh", "-c", "true"), ()])
async def test_a_program_that_is_not_declared_or_not_there_is_not_started(argv: tuple[str, ...]) -> None:
    assert (await undelivered(ran(Program(argv)))).outcome is Outcome.NOT_SENT


async def test_what_is_no_program_is_not_started(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    candidate = a_candidate(transport="process", programs=(str(broken),))
    error = await undelivered(ProcessSender().send(Program((str(broken),)), candidate))
    assert (error.outcome, error.kind) == (Outcome.NOT_SENT, ErrorKind.CONNECT)


async def test_when_its_time_is_up_it_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(noted)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )
    error = await undelivered(ran(python(script, time_limit_s=1.5)))
    assert (error.outcome, error.kind) == (Outcome.AMBIGUOUS, ErrorKind.TIMEOUT_AFTER_SEND)
    pids = [int(pid) for pid in noted.read_text().split()]
    await _gone(pids)


async def test_a_caller_who_leaves_takes_the_program_along(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script = f"import os, time; open({str(noted)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.create_task(ran(python(script)))
    while not (noted.exists() and noted.read_text()):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone([int(noted.read_text())])


async def test_a_program_that_is_killed_from_outside_may_have_had_its_effect() -> None:
    error = await undelivered(ran(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")))
    assert (error.outcome, error.detail) == (Outcome.AMBIGUOUS, "It was ended by SIGKILL.")


async def test_more_memory_than_it_may_have_is_refused_to_it() -> None:
    hungry = python("b = bytearray(400 * 1024 * 1024); print(len(b))", memory_bytes=200 * 1024 * 1024)
    reply = await ran(hungry)
    assert not reply.ok
    assert "MemoryError" in reply.header("stderr")


async def test_a_program_that_prints_without_end_is_stopped() -> None:
    error = await undelivered(ran(python("while True: print('x' * 10_000)"), max_body_bytes=100_000))
    assert (error.outcome, error.kind) == (Outcome.AMBIGUOUS, ErrorKind.DECODE)


async def test_what_a_program_left_behind_and_goes_on_printing_holds_nobody() -> None:
    escaped = python("import os\nif not os.fork(): os.setsid()\nwhile True: print('x' * 10_000)")
    async with asyncio.timeout(30):
        error = await undelivered(ran(escaped, max_body_bytes=100_000))
    assert error.kind is ErrorKind.DECODE


async def test_a_program_has_no_more_time_than_the_request() -> None:
    started = time.monotonic()
    with deadline.within(0.5):
        error = await undelivered(ran(python("import time; time.sleep(60)")))
    assert error.outcome is Outcome.AMBIGUOUS
    assert time.monotonic() - started < 20


async def _gone(pids: list[int]) -> None:
    for _ in range(500):
        if not any(_lives(pid) for pid in pids):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(pids)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.csv").write_text("id;name\n1;Anne\n")
    (tmp_path / "secret").write_text("canary")
    return folder


async def filed(drop: Path, document: Any, **manifest: Any) -> Reply:
    candidate = a_candidate(transport="file", folders=(DROP,), **manifest)
    return await FileSender({DROP: drop, "other": drop.parent}).send(document, candidate)


async def test_files_are_read_listed_written_and_deleted(drop: Path) -> None:
    assert (await filed(drop, Document("read", DROP, "in/a.csv"))).text() == "id;name\n1;Anne\n"
    assert (await filed(drop, Document("write", DROP, "in/b.csv", b"2"))).status == 201
    assert (await filed(drop, Document("list", DROP, "in"))).json() == ["a.csv", "b.csv"]
    assert (await filed(drop, Document("write", DROP, "in/b.csv", b"3"))).status == 201
    assert (drop / "in" / "b.csv").read_bytes() == b"3"
    assert (await filed(drop, Document("delete", DROP, "in/b.csv"))).status == 204
    assert (await filed(drop, Document("read", DROP, "in/b.csv"))).status == 404
    assert (await filed(drop, Document("list", DROP, "nowhere"))).status == 404


@pytest.mark.parametrize(
    "name",
    ["../secret", "in/../../secret", "/etc/passwd", "in//a.csv", ".", "in/.", "a\0b", "..\\secret", "x" * 300, ""],
)
@pytest.mark.parametrize("action", ["read", "write", "delete"])
async def test_no_name_leads_out_of_the_folder(drop: Path, name: str, action: Any) -> None:
    error = await undelivered(filed(drop, Document(action, DROP, name, b"x")))
    assert error.outcome is Outcome.NOT_SENT
    assert (drop.parent / "secret").read_text() == "canary"


@pytest.mark.parametrize("link", ["linked", "in/linked"])
async def test_no_link_leads_out_of_the_folder(drop: Path, link: str) -> None:
    (drop / link).symlink_to(drop.parent / "secret")
    (drop / "way").symlink_to(drop.parent)
    for document in (
        Document("read", DROP, link),
        Document("read", DROP, "way/secret"),
        Document("write", DROP, "way/new", b"x"),
        Document("delete", DROP, "way/secret"),
        Document("list", DROP, "way"),
    ):
        error = await undelivered(filed(drop, document))
        assert (error.outcome, error.kind) == (Outcome.NOT_SENT, ErrorKind.POLICY)
    assert sorted(each.name for each in drop.parent.iterdir()) == ["drop", "secret"]


async def test_writing_over_a_link_replaces_the_link(drop: Path) -> None:
    (drop / "linked").symlink_to(drop.parent / "secret")
    await filed(drop, Document("write", DROP, "linked", b"mine"))
    assert (drop.parent / "secret").read_text() == "canary"
    assert (drop / "linked").read_bytes() == b"mine"
    assert not (drop / "linked").is_symlink()


async def test_only_plain_files_of_declared_folders_are_read(drop: Path) -> None:
    os.mkfifo(drop / "pipe")
    assert (await undelivered(filed(drop, Document("read", DROP, "pipe")))).kind is ErrorKind.POLICY
    assert (await undelivered(filed(drop, Document("read", "other", "secret")))).kind is ErrorKind.POLICY
    assert (await undelivered(filed(drop, Document("read", "nobody", "secret")))).kind is ErrorKind.POLICY
    assert (
        await undelivered(filed(drop, Document("read", DROP, "in/a.csv"), max_body_bytes=3))
    ).kind is ErrorKind.DECODE


async def test_a_file_that_cannot_be_written_leaves_nothing_behind(drop: Path) -> None:
    (drop / "taken").mkdir()
    (drop / "taken" / "full").write_text("x")
    error = await undelivered(filed(drop, Document("write", DROP, "taken", b"x")))
    assert error.outcome is Outcome.AMBIGUOUS
    assert (await filed(drop, Document("list", DROP))).json() == ["in", "taken"]


async def test_mail_can_go_into_a_folder(drop: Path) -> None:
    await filed(drop, Mail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\nhello"))
    [_, letter] = sorted((await filed(drop, Document("list", DROP))).json(), key=len)
    assert letter.endswith(".eml")
    assert (await filed(drop, Document("read", DROP, letter))).body.endswith(b"hello")


async def test_whose_time_is_up_before_the_brink_has_had_no_effect() -> None:
    go, effects = threading.Event(), []

    def work(brink: Brink) -> None:
        go.wait(10)
        brink.cross()
        effects.append("had")

    error = await undelivered(in_thread(work, time_limit_s=0.05))
    go.set()
    assert error.outcome is Outcome.NOT_SENT
    await asyncio.sleep(0.1)
    assert effects == []


async def test_whose_time_is_up_behind_the_brink_may_have_had_it() -> None:
    go = threading.Event()

    def work(brink: Brink) -> None:
        brink.cross()
        go.wait(10)

    error = await undelivered(in_thread(work, time_limit_s=0.05))
    go.set()
    assert (error.outcome, error.kind) == (Outcome.AMBIGUOUS, ErrorKind.TIMEOUT_AFTER_SEND)


@dataclass
class Server:
    """A mail server that fails where it is told to. says: a verb -> its answer; None hangs, "" breaks the connection."""

    says: dict[str, str | None] = field(default_factory=dict)
    taken: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            verb = line.split()[0].decode().upper().rstrip(":")
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                self.taken.append(text)
                verb = "TEXT"
            said = self.says.get(verb, "221 bye" if verb == "QUIT" else "250 ok")
            if said is None:
                await asyncio.sleep(30)
            if not said:
                break
            writer.write(said.encode() + b"\r\n")
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    opened = Server()
    listening = await asyncio.start_server(opened.serve, "127.0.0.1", 0)
    opened.port = listening.sockets[0].getsockname()[1]
    yield opened
    listening.close()


async def mailed(port: int, *, private: bool = True, recipients: tuple[str, ...] = ("b@example.org",)) -> Reply:
    credential = Credential("k", {}, {"host": "127.0.0.1", "port": str(port), "security": "none"})
    candidate = a_candidate(
        credential,
        transport="smtp",
        private=private,
        account=(AccountField(name="host", title="Server"),),
        time_limits=TimeLimits(first_byte_s=1, total_s=2),
    )
    message = b"From: a@example.org\nSubject: x\n\nhello\n.\nend"
    return await SmtpSender().send(Mail("a@example.org", recipients, message), candidate)


async def test_a_message_that_is_taken_was_answered(server: Server) -> None:
    assert (await mailed(server.port)).ok
    assert server.taken == [b"From: a@example.org\r\nSubject: x\r\n\r\nhello\r\n..\r\nend\r\n.\r\n"]


@pytest.mark.parametrize(
    ("says", "outcome", "kind"),
    [
        ({"MAIL": "451 later"}, Outcome.ANSWERED, ErrorKind.RATE),
        ({"RCPT": "550 nobody"}, Outcome.ANSWERED, ErrorKind.BAD_REQUEST),
        ({"RCPT": ""}, Outcome.NOT_SENT, ErrorKind.CONNECT),
        ({"RCPT": None}, Outcome.NOT_SENT, ErrorKind.CONNECT),
        ({"TEXT": "554 spam"}, Outcome.ANSWERED, ErrorKind.BAD_REQUEST),
        ({"TEXT": ""}, Outcome.AMBIGUOUS, ErrorKind.TIMEOUT_AFTER_SEND),
        ({"TEXT": None}, Outcome.AMBIGUOUS, ErrorKind.TIMEOUT_AFTER_SEND),
    ],
    ids=["put off", "refused", "lost before the text", "silent before the text", "text refused", "lost", "silent"],
)
async def test_how_surely_a_message_went_is_known(
    server: Server, says: dict[str, str | None], outcome: Outcome, kind: ErrorKind
) -> None:
    server.says = says
    error = await undelivered(mailed(server.port))
    assert (error.outcome, error.kind) == (outcome, kind)


async def test_an_address_that_cannot_be_said_is_bad_input_and_gets_nothing(server: Server) -> None:
    error = await undelivered(mailed(server.port, recipients=('"\r\nRSET',)))
    assert (error.outcome, error.kind) == (Outcome.NOT_SENT, ErrorKind.BAD_REQUEST)
    assert server.taken == []


async def test_one_refused_recipient_stops_the_message(server: Server) -> None:
    server.says = {"RCPT": "550 nobody"}
    await undelivered(mailed(server.port, recipients=("b@example.org", "c@example.org")))
    assert server.taken == []


async def test_a_server_in_a_private_network_must_be_declared(server: Server) -> None:
    with pytest.raises(Exception, match="not a public address"):
        await mailed(server.port, private=False)


async def test_a_server_that_is_away_got_nothing() -> None:
    assert (await undelivered(mailed(1))).outcome is Outcome.NOT_SENT


async def test_an_answer_that_is_computed_here_needs_no_transport(bench: Bench) -> None:
    def made(query: Question, _account: Account) -> Weather:
        if query.place == "Atlantis":
            raise Refusal(ErrorKind.BAD_REQUEST, "There is no such place.")
        return Weather(12.5)

    local = Provider(Manifest(id="made_here", title="Here", transport="local"), {"weather.now": Codec(compute=made)})
    engine = bench.engine(local)
    answer = await engine.ask(Someone(), "weather.now", Question())
    assert (answer.data, answer.meta.provider) == (Weather(12.5), "made_here")
    with pytest.raises(Exception, match="no such place"):
        await engine.ask(Someone(), "weather.now", Question("Atlantis"))


async def test_the_engine_asks_a_program_like_any_provider(bench: Bench) -> None:
    def encode(query: Question, _account: Account) -> Program:
        return Program((PYTHON, "-c", "import sys; print(len(sys.stdin.read()))"), stdin=query.place.encode())

    codec: Codec[Question, Weather] = Codec(encode, lambda _, reply: Weather(float(reply.text())))
    manifest = Manifest(id="counting", title="Counting", transport="process", programs=(PYTHON,))
    engine = bench.engine(Provider(manifest, {"weather.now": codec}), senders={"process": ProcessSender()})
    answer = await engine.ask(Someone(), "weather.now", Question("Basel"))
    assert (answer.data, bench.usage[-1].outcome) == (Weather(5.0), "ok")
