"""What services promise and want to be told is in the rules of Prometheus, and each alert has its page in the runbook."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from ossature.app import services
from ossature.kernel.cli.main import VERBS
from ossature.kernel.guests import everybody
from ossature.kernel.observe import rules
from tests.house.places import ROOT
from tests.house.served import serving

PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook"
ALERTS = rules.everything(everybody(services()))
PARTS = ("Symptom", "Impact", "Check", "Mitigate", "Fix", "Verify", "Communicate")


@pytest.mark.parametrize("name", ["slo.rules.yml", "alerts.rules.yml"])
def test_a_shipped_rule_file_says_what_the_services_declare(name: str) -> None:
    said = rules.files(everybody(services()))[name]

    assert (PROMETHEUS / name).read_text() == said, f"write it again: {rules.COMMAND}"


def test_prometheus_reads_every_rule_file() -> None:
    read = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["rule_files"]

    assert sorted(read) == sorted(path.name for path in PROMETHEUS.glob("*.rules.yml"))


def test_each_service_promises_something_and_each_promise_is_about_a_route_that_is_served() -> None:
    served = {str(one) for one in serving().operations}
    promised = [objective.route for service in everybody(services()) for objective in service.slos]

    assert [service.name for service in services() if not service.slos] == []
    assert [route for route in promised if route not in served] == []
    assert [route for route, times in Counter(promised).items() if times > 1] == []


@pytest.mark.parametrize("name", [alert.name for _, alert in ALERTS])
def test_an_alert_fires_in_a_test_of_the_rules(name: str) -> None:
    tested = "".join(path.read_text() for path in (PROMETHEUS / "tests").glob("*.test.yml"))

    assert re.search(rf"alertname: {name}\n\s+exp_alerts:\n\s+- exp_labels", tested)


@pytest.mark.parametrize("page", sorted({alert.runbook for _, alert in ALERTS}))
def test_an_alert_has_a_page_that_says_what_to_do(page: str) -> None:
    text = (RUNBOOK / f"{page}.md").read_text()

    assert re.findall(r"^\*\*(\w+)\.\*\* \S", text, re.MULTILINE) == list(PARTS)
    assert f"({page}.md)" in (RUNBOOK / "index.md").read_text()
    # The site has it where the alert links to: addresses end with the name of the page.
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert site["use_directory_urls"] is False
    (pages,) = [one["Runbook"] for one in site["nav"] if isinstance(one, dict) and "Runbook" in one]
    assert f"runbook/{page}.md" in pages


@pytest.mark.parametrize("path", sorted(RUNBOOK.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_of_the_runbook_names_verbs_that_exist(path: Path) -> None:
    verbs = {*VERBS, *(service.name for service in services() if service.commands is not None)}
    named = re.findall(r"`ossature ([a-z-]+)", path.read_text())

    assert [verb for verb in named if verb not in verbs] == []
