"""The wheel works without the checkout: migrations, skeletons, simulator and pages are inside."""

import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.journeys.product import announced, end

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, in a folder of their own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(folder.glob("ossature-*.whl"))
    target = folder / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.mark.journey
def test_up_from_an_empty_folder_serves_the_demo(unpacked: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked), "HOME": str(tmp_path)}
    where = subprocess.run(
        [sys.executable, "-c", "import ossature; print(ossature.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(unpacked))

    log = tmp_path / "product.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "ossature.app", "up", "--demo", "--port", "0"],
            cwd=tmp_path, env=environment, stdout=said, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    try:
        url, key = announced(process, log)
        request = urllib.request.Request(
            f"{url}/v1/hub/weather/current?latitude=46.2&longitude=6.14", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert b"temperature_c" in answer.read()
        assert (tmp_path / "var" / "ossature.db").is_file()
    finally:
        end(process, signal.SIGINT)
    assert process.returncode == 0
    # The simulator ends with it, without a word.
    assert "Fatal" not in log.read_text()


def test_the_translations_are_in_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "from ossature.kernel.i18n.language import LANGUAGES, speaking\n"
        "from ossature.kernel.i18n.words import translate\n"
        "for language in LANGUAGES.values():\n"
        "    with speaking(language):\n"
        "        print(translate('Audit trail'))\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked), "PYTHONIOENCODING": "utf-8"}

    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout.split("\n")

    assert said[0] == "Audit trail"
    assert len(set(said[:4])) == 4
