"""The guides tell the truth: their code blocks run, in order, against a copy of this tree and products that they start.

Blocks of `sh` and `python` run, others do not. A comment in the first line of a block may say more:

    # not run: REASON               shown to readers only
    # in a terminal of its own      started beside what follows, once it says that it is up

A `text` block is what the block before it printed; `...` stands for anything. Addresses, the key and the credentials of
servers are replaced by those of this run.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from redis.asyncio import Redis

from tests.house.places import ROOT

GUIDES = ROOT / "docs" / "guides"
# Nothing of the surroundings may decide what a guide shows.
INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR")
COPIED = ("src", "tests", "docs", "bench", "pyproject.toml", "README.md")
# Blocks end when they are done; a machine that has much else to do may take its time.
BLOCK_LIMIT_S = 300
START_LIMIT_S = 120
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"# not run: \S.+")
BESIDE = "# in a terminal of its own"
UP = re.compile(r"(?:is up: |Listening on |Probes on )(http://\S+?)[ ,.]*(?:\s|$)")
SIMULATED = re.compile(r"simulated at (http://\S+?)\.?$", re.MULTILINE)
KEY = re.compile(r"oss_\w{20,}")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. line: where it stands in its guide."""

    language: str
    text: str
    line: int

    @property
    def runs(self) -> bool:
        """Whether it is executed."""
        return self.language in {"sh", "python"} and not self.text.startswith("# not run")


class Walk:
    """One reader's way through a guide: a folder, an environment that blocks may change, terminals left open."""

    def __init__(self, folder: Path, replaced: Mapping[str, str]) -> None:
        self.folder = folder
        self.replaced = dict(replaced)
        self.terminals: list[Terminal] = []
        self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.environment |= {"PATH": path, "PYTHONPATH": str(folder / "src"), "NO_COLOR": "1", "COLUMNS": "200"}

    def run(self, block: Block) -> str:
        """What a block printed; it fails unless it ends with 0."""
        text = self.adapted(block.text)
        if block.text.startswith(BESIDE):
            self.open_terminal(text)
            return ""
        kept = self.folder / ".environment"
        if block.language == "python":
            command = [sys.executable, "-c", text]
        else:
            command = ["bash", "-euo", "pipefail", "-c", f"{text}\nenv -0 > {kept}"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=BLOCK_LIMIT_S, check=False,
        )  # fmt: skip
        said = "\n".join(terminal.said()[-3000:] for terminal in self.terminals)
        assert done.returncode == 0, f"line {block.line}:\n{text}\nprinted:\n{done.stdout}\nother terminals:\n{said}"
        if block.language == "sh":
            pairs = (pair.partition("=") for pair in kept.read_text().split("\0") if pair)
            self.environment = {name: value for name, _, value in pairs}
        return done.stdout

    def open_terminal(self, text: str) -> None:
        """Start a process beside, and learn its address and key once it says that it is up."""
        port = re.compile(r"(ossature (?:up|serve)\b[^\n]*?)(?: --port \d+)?$", re.MULTILINE)
        command = re.sub(r"--probe-port \d+", "--probe-port 0", port.sub(r"\1 --port 0", text))
        terminal = Terminal(command, self.folder, self.environment)
        self.terminals.append(terminal)
        said = terminal.until_up()
        wanted = re.search(r"# serves (http://\S+)", text)
        self.replaced[wanted[1] if wanted else "http://127.0.0.1:8000"] = UP.findall(said)[-1]
        for found in SIMULATED.findall(said):
            self.replaced["http://127.0.0.1:9900"] = found
        if key := KEY.search(said):
            self.replaced["oss_..."] = key[0]

    def adapted(self, text: str) -> str:
        """A block with the addresses and credentials of this run."""
        for told, real in self.replaced.items():
            text = text.replace(told, real)
        return text

    def close(self) -> None:
        """End what was started."""
        for terminal in reversed(self.terminals):
            terminal.close()


class Terminal:
    """A process that runs beside the others."""

    def __init__(self, text: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._lines: list[str] = []
        self._is_up = threading.Event()
        self._process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def said(self) -> str:
        """All that it printed."""
        return "".join(self._lines)

    def until_up(self) -> str:
        """What it printed, once it serves."""
        assert self._is_up.wait(START_LIMIT_S), self.said()
        assert UP.search(self.said()), self.said()
        return self.said()

    def close(self) -> None:
        """Interrupt it, as Ctrl-C would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            # Keys are printed right after the address, and the first line of the log after those.
            if '"event":"process.started"' in line or '"event":"supervisor.started"' in line:
                self._is_up.set()
        self._is_up.set()


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a guide."""
    text = path.read_text()
    return [Block(found[1], found[2], text[: found.start()].count("\n") + 1) for found in BLOCK.finditer(text)]


def printed(expected: str, real: str) -> bool:
    """Whether all lines of `expected` were printed, one after the other; `...` stands for anything."""
    pattern = ".*?".join(re.escape(part.strip()) for part in expected.strip().split("..."))
    return re.search(pattern.replace(r"\ ", r"\s+"), real, re.DOTALL) is not None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of this tree, to be changed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *COPIED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folder = tmp_path / "ossature"
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """Real servers under the addresses of the guide; for the others nothing."""
    if request.node.callspec.params["name"] != "run-it-for-real":
        yield {}
        return
    postgres = request.getfixturevalue("postgres_server")
    redis, rabbitmq = request.getfixturevalue("redis_url"), request.getfixturevalue("rabbitmq_url")
    name = f"ossature_guide_{uuid4().hex[:12]}"
    asyncio.run(_sql(postgres, f'CREATE DATABASE "{name}"'))
    database = urlsplit(postgres)._replace(scheme="postgresql+asyncpg", path=f"/{name}")
    yield {
        "postgresql+asyncpg://ossature:secret@127.0.0.1:5432/ossature": urlunsplit(database),
        "redis://127.0.0.1:6379/0": f"{redis}/7\nexport OSSATURE_REDIS_PREFIX={name}:",
        "amqp://ossature:secret@127.0.0.1:5672/": f"{rabbitmq}\nexport OSSATURE_JOBS_BROKER_PREFIX={name}",
    }
    asyncio.run(_sql(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))
    asyncio.run(_forget(redis, rabbitmq, name))


async def _sql(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _forget(redis: str, rabbitmq: str, prefix: str) -> None:
    """Leave nothing behind in servers that others use."""
    async with Redis.from_url(f"{redis}/7") as client:
        async for key in client.scan_iter(f"{prefix}*"):
            await client.delete(key)
    async with await aio_pika.connect(rabbitmq) as connection, connection.channel() as channel:
        for queue in ("default", "mail", "webhooks", "dead_letter"):
            await channel.queue_delete(f"{prefix}.{queue}")
        await channel.exchange_delete(prefix)


@pytest.mark.journey
@pytest.mark.parametrize("name", sorted(path.stem for path in GUIDES.glob("*.md")))
def test_a_guide_does_what_it_says(name: str, tree: Path, servers: Mapping[str, str]) -> None:
    walk = Walk(tree, servers)
    output = ""
    try:
        for block in blocks(GUIDES / f"{name}.md"):
            if block.runs:
                output = walk.run(block)
            elif block.language == "text":
                assert printed(walk.adapted(block.text), output), f"line {block.line} is not in:\n{output}"
    finally:
        walk.close()


@pytest.mark.parametrize("name", sorted(path.stem for path in GUIDES.glob("*.md")))
def test_a_block_that_is_not_run_says_why(name: str) -> None:
    for block in blocks(GUIDES / f"{name}.md"):
        assert block.language in {"sh", "python", "text", "json", "toml", "yaml", "nginx", "sql"}, f"line {block.line}"
        if block.text.startswith("# not run"):
            assert NOT_RUN.match(block.text), f"line {block.line}"


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]

    assert [page for page in sorted(pages) if f"- {page}\n" not in menu] == []
