"""Whatever port `ossature up` takes, what it says of itself leads back to it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.journeys.product import ANSWER_LIMIT_S, START_LIMIT_S, announced, end

pytestmark = pytest.mark.journey


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and key of a product on a port that it chose itself, in an empty folder."""
    log = tmp_path / "product.log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
    }
    command = [sys.executable, "-m", "ossature.app", "up", "--port", "0"]
    with log.open("w") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=said, stderr=subprocess.STDOUT, text=True
        )
    try:
        yield announced(process, log)
    finally:
        end(process, signal.SIGINT)


def test_the_type_of_a_problem_is_a_page_and_a_link_in_a_mail_comes_here(up: tuple[str, str], tmp_path: Path) -> None:
    url, key = up
    problem = requests.get(f"{url}/v1/nowhere", timeout=ANSWER_LIMIT_S)
    assert problem.status_code == 404
    page = requests.get(problem.json()["type"], timeout=ANSWER_LIMIT_S)
    assert page.status_code == 200
    assert problem.json()["title"] in page.text

    body: dict[str, Any] = {"slug": "acme", "name": "Acme", "owner": {"email": "ada@example.com"}}
    made = requests.post(
        f"{url}/v1/tenants", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_LIMIT_S
    )
    assert made.status_code == 201, made.text
    assert url in _mail(tmp_path)


def _mail(folder: Path) -> str:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        for mail in folder.rglob("*.eml"):
            return mail.read_text()
        time.sleep(0.1)
    raise AssertionError("no mail was written")
