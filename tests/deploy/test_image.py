"""The steps of the image and of a package, run for real: into empty folders, from what Docker or an index would see.

No container is started. The files are those that .dockerignore lets through, the script is the image's own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
START_LIMIT_S = 90
MB = 1_000_000
MOST_CORE_MB, MOST_ALL_MB = 150, 800
# All but what would make another Python, or another product, of it.
SURROUNDINGS = {name: value for name, value in os.environ.items() if not re.match("PYTHON|OSSATURE_|VIRTUAL_ENV", name)}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a builder of images gets to see of this tree."""
    folder = tmp_path_factory.mktemp("context")
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *let_through],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the image copies out of its first stage."""
    target = tmp_path_factory.mktemp("image") / "opt"
    subprocess.run(["sh", "deploy/docker/install.sh", str(target)], cwd=context, env=SURROUNDINGS, check=True)
    return target


def size_mb(folder: Path) -> float:
    """Millions of bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / MB


@contextmanager
def started(command: list[str], *, cwd: Path, **environment: str) -> Iterator[str]:
    """The address of a product that was started; it must end well on SIGTERM, which is what `docker stop` sends."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**SURROUNDINGS, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    try:
        limit_s = time.monotonic() + START_LIMIT_S
        while "is up: " not in said and time.monotonic() < limit_s and process.poll() is None:
            assert process.stdout is not None
            said += process.stdout.readline()
        found = re.search(r"is up: (http://\S+)", said)
        assert found, said
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest


def test_the_image_holds_the_product_without_the_tools_that_made_it(installed: Path) -> None:
    programs = {path.name for path in (installed / "bin").iterdir()}
    packages = {path.name for path in next(installed.glob("lib/python*/site-packages")).iterdir()}

    assert "ossature" in programs
    assert not programs & {"uv", "uvx", "pip", "pytest", "mypy"}
    assert {"asyncpg", "redis", "nicegui", "darp"} <= packages
    assert not packages & {"pip", "setuptools", "pytest", "hypothesis"}
    assert size_mb(installed) < MOST_ALL_MB


def test_the_product_runs_from_the_image_and_writes_to_its_data_only(installed: Path, tmp_path: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in installed.rglob("*")}
    command = [str(installed / "bin" / "ossature"), "up", "--port", "0"]

    with started(
        command, cwd=tmp_path, OSSATURE_VAR_DIR=str(tmp_path / "data"), OSSATURE_HTTP_DRAIN_LINGER_S="0"
    ) as url:
        health = re.findall(r'CMD \["python", "-c", "(import urllib.*?)"\]', DOCKERFILE)
        assert len(health) == 2
        for check in health:
            code = check.replace("http://127.0.0.1:8000", url)
            subprocess.run([installed / "bin" / "python", "-c", code], check=True, env=SURROUNDINGS)

    assert {path: path.lstat().st_mtime_ns for path in installed.rglob("*")} == before
    assert (tmp_path / "data" / "ossature.db").is_file()
    # Modules were compiled when the image was made: a root that is read-only could not keep them.
    assert next(installed.glob("lib/python*/site-packages/ossature/**/*.pyc"), None) is not None


def test_the_source_distribution_makes_a_product_with_nothing_but_the_core(context: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    uv, clean = str(Path(sys.executable).with_name("uv")), tmp_path / "clean"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(clean)], check=True)
    before_mb = size_mb(clean)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(clean / "bin" / "python"), "--constraint",
         str(context / "requirements.lock"), str(next(tmp_path.glob("ossature-*.tar.gz")))],
        env=SURROUNDINGS, check=True,
    )  # fmt: skip

    assert size_mb(clean) - before_mb < MOST_CORE_MB
    with started([str(clean / "bin" / "ossature"), "up", "--demo", "--port", "0"], cwd=tmp_path) as url:
        with urllib.request.urlopen(f"{url}/health/live", timeout=10) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{url}/docs", timeout=10) as answer:
            assert b"swagger-ui-bundle.js" in answer.read()

    other_server = subprocess.run(
        [str(clean / "bin" / "ossature"), "up", "--port", "0"],
        cwd=tmp_path, env={**SURROUNDINGS, "OSSATURE_HTTP_SERVER": "granian"},
        capture_output=True, text=True, timeout=START_LIMIT_S, check=False,
    )  # fmt: skip
    assert other_server.returncode != 0
    assert "pip install 'ossature[granian]'" in other_server.stdout + other_server.stderr


@pytest.mark.parametrize("target", ["api", "worker", "all"])
def test_each_image_is_unprivileged_and_has_a_first_process_that_reaps(target: str) -> None:
    base, *others = DOCKERFILE.split(" AS base\n")[1].split("\nFROM base AS ")
    stage = next(one for one in others if one.startswith(f"{target}\n"))

    assert re.search(r"^USER 10001$", base, re.MULTILINE)
    assert 'ENTRYPOINT ["tini", "--", "ossature"]' in base
    assert "USER" not in stage
    assert ("HEALTHCHECK" in stage) is (target != "worker")
