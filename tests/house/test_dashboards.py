"""The dashboards of Grafana are those that the services of the house make, and Prometheus understands them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ossature.app import services
from ossature.kernel.guests import everybody
from ossature.kernel.observe.boards import files as boards
from tests.conftest import missing
from tests.house.places import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
SHIPPED = GRAFANA / "dashboards"
WRITTEN = boards.files(everybody(services()), services())


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_shipped_dashboard_says_what_the_services_declare(name: str) -> None:
    assert (SHIPPED / name).read_text() == WRITTEN[name], f"write it again: {boards.COMMAND}"


def test_no_dashboard_lies_there_that_nobody_makes() -> None:
    assert sorted(path.name for path in SHIPPED.iterdir()) == sorted(WRITTEN)


def test_each_service_has_a_dashboard() -> None:
    assert {f"{service.name}.json" for service in services()} <= WRITTEN.keys()


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_panels_fit_beside_each_other(name: str) -> None:
    panels = json.loads(WRITTEN[name])["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] != "row" and not panel["description"]] == []


def test_promtool_understands_every_question(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        missing("promtool (Debian package prometheus)")
    asked = [query for one in boards.boards(everybody(services()), services()) for query in one.queries]
    rules = [
        {"record": f"question:{number}", "expr": query.expr.replace("$__rate_interval", "5m")}
        for number, query in enumerate(asked)
    ]
    path = tmp_path / "questions.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(asked)} rules found" in checked.stdout


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    composed = _read(ROOT / "deploy" / "compose" / "full.yaml")["services"]
    mounts = dict(
        re.fullmatch(r"(.+):(/.+):ro", one).groups() for one in composed["grafana"]["volumes"] if ":ro" in one
    )  # type: ignore[union-attr,misc] # each fits
    (provider,) = _read(GRAFANA / "provisioning" / "dashboards" / "ossature.yml")["providers"]
    (source,) = _read(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    prometheus = _read(ROOT / "deploy" / "prometheus" / "prometheus.yml")

    assert mounts["../grafana/dashboards"] == provider["options"]["path"]
    assert mounts["../grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found
