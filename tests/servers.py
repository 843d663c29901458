"""The real servers that tests talk to: used where they run already, else started privately where installed.

`found()` starts what it can and gives the environment that `tests/conftest.py` reads; everything that was started lies
in one temporary folder, on free ports, and ends with `Servers.stop()`. As root, PostgreSQL runs as an unprivileged user.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

START_LIMIT_S = 60


@dataclass(slots=True)
class Servers:
    """What was found: name -> one line about it; what must be stopped; what the tests are told."""

    lines: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ossature-servers-")))
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def stop(self) -> None:
        """End what was started here."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def table(self) -> str:
        """One line for each server."""
        return "\n".join(f"  {name:<12} {line}" for name, line in self.lines.items())


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def executable(name: str, *places: str) -> str | None:
    """Path of a program on PATH, in sbin, or where `places` (globs) say."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path:
        return path
    hits = [str(hit) for place in places for hit in sorted(Path("/").glob(place.lstrip("/")))]
    return hits[-1] if hits else None


def found() -> Servers:
    """Everything that can be had on this machine."""
    servers = Servers()
    _postgres(servers)
    _pgbouncer(servers)
    _redis(servers)
    _rabbitmq(servers)
    for name, program in (
        ("nginx", "nginx"),
        ("chromium", "chromium"),
        ("promtool", "promtool"),
        ("alertmanager", "prometheus-alertmanager"),
        ("pgbackrest", "pgbackrest"),
    ):
        path = executable(program)
        servers.lines[name] = path or "missing"
        if path:
            servers.environment[f"OSSATURE_TEST_{name.upper()}"] = path
    return servers


def _await_port(port: int) -> bool:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if listens(port):
            return True
        time.sleep(0.2)
    return False


def _start(servers: Servers, command: list[str], *, port: int, name: str, **options: object) -> bool:
    log = (servers.folder / f"{name}.log").open("wb")
    servers.processes.append(subprocess.Popen(command, stdout=log, stderr=log, **options))  # type: ignore[call-overload] # options of Popen
    return _await_port(port)


def _postgres(servers: Servers) -> None:
    if listens(5432):
        servers.lines["postgresql"] = "running on 5432"
        servers.environment.setdefault("OSSATURE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
        return
    initdb = executable("initdb", "/usr/lib/postgresql/*/bin/initdb")
    if initdb is None:
        servers.lines["postgresql"] = "missing"
        return
    data, port = servers.folder / "postgres", free_port()
    data.mkdir()
    prefix: list[str] = []
    if os.geteuid() == 0:
        servers.folder.chmod(0o755)
        shutil.chown(data, pwd.getpwnam("postgres").pw_uid)
        prefix = ["runuser", "-u", "postgres", "--"]
    subprocess.run([*prefix, initdb, "-D", str(data), "-U", "postgres", "-A", "trust"], check=True, capture_output=True)
    postgres = str(Path(initdb).with_name("postgres"))
    command = [
        *prefix,
        postgres,
        "-D",
        str(data),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-k",
        str(data),
        "-c",
        "max_connections=300",
    ]
    if _start(servers, command, port=port, name="postgres"):
        servers.lines["postgresql"] = f"started on {port}"
        servers.environment["OSSATURE_TEST_POSTGRES"] = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    else:
        servers.lines["postgresql"] = "did not start"


def _pgbouncer(servers: Servers) -> None:
    """A pooler of transactions before PostgreSQL, with fewer connections to it than tests have to the pooler."""
    program, postgres = executable("pgbouncer"), servers.environment.get("OSSATURE_TEST_POSTGRES")
    if program is None or postgres is None:
        servers.lines["pgbouncer"] = "missing" if program is None else "no PostgreSQL to stand before"
        return
    behind, port = urlsplit(postgres), free_port()
    folder = servers.folder / "pgbouncer"
    folder.mkdir()
    servers.folder.chmod(0o755)
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={behind.hostname} port={behind.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder / 'users'}\nauth_user = postgres\n"
        "auth_query = SELECT rolname, '' FROM pg_roles WHERE rolname = $1\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nserver_idle_timeout = 2\n"
    )
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if _start(servers, [*prefix, program, str(folder / "pgbouncer.ini")], port=port, name="pgbouncer"):
        servers.lines["pgbouncer"] = f"started on {port}"
        servers.environment["OSSATURE_TEST_PGBOUNCER"] = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    else:
        servers.lines["pgbouncer"] = "did not start"


def _redis(servers: Servers) -> None:
    if listens(6379):
        servers.lines["redis"] = "running on 6379"
        servers.environment.setdefault("OSSATURE_TEST_REDIS", "redis://127.0.0.1:6379")
        return
    program = executable("redis-server")
    if program is None:
        servers.lines["redis"] = "missing"
        return
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(servers.folder)]
    if _start(servers, command, port=port, name="redis"):
        servers.lines["redis"] = f"started on {port}"
        servers.environment["OSSATURE_TEST_REDIS"] = f"redis://127.0.0.1:{port}"
    else:
        servers.lines["redis"] = "did not start"


def _rabbitmq(servers: Servers) -> None:
    if listens(5672):
        servers.lines["rabbitmq"] = "running on 5672"
        servers.environment.setdefault("OSSATURE_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")
        return
    program = executable("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
    if program is None:
        servers.lines["rabbitmq"] = "missing"
        return
    # Debian's wrapper insists on its own user and folders; the program behind it does not.
    inner = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    home, port = servers.folder / "rabbitmq", free_port()
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"ossature{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
    }
    if _start(servers, [str(inner) if inner.exists() else program], port=port, name="rabbitmq", env=environment):
        servers.lines["rabbitmq"] = f"started on {port}"
        servers.environment["OSSATURE_TEST_RABBITMQ"] = f"amqp://guest:guest@127.0.0.1:{port}/"
    else:
        servers.lines["rabbitmq"] = "did not start"
