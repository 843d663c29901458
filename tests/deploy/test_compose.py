"""Who reaches whom in the shipped compose file of everything."""

from pathlib import Path
from typing import Any

import yaml

FULL = Path(__file__).parents[2] / "deploy" / "compose" / "full.yaml"
PRODUCT = {"api", "console", "worker", "scheduler"}
STORES = {"postgres", "redis", "rabbitmq"}


def _composed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FULL.read_text())
    return found


def _networks(composed: dict[str, Any], service: str) -> set[str]:
    return set(composed["services"][service]["networks"])


def test_the_product_reaches_the_outside_world_that_it_lives_on() -> None:
    composed = _composed()
    leading_out = {name for name, said in composed["networks"].items() if not (said or {}).get("internal")}

    assert {name for name in PRODUCT if _networks(composed, name) & leading_out} == PRODUCT


def test_who_watches_is_read_from_the_files_that_are_shipped() -> None:
    composed = _composed()
    deploy = FULL.parents[1]
    read = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text())
    targets = {target for one in read["scrape_configs"] for said in one["static_configs"] for target in said["targets"]}
    mounted = {one.partition(":")[0] for one in composed["services"]["prometheus"]["volumes"]}

    assert {f"../prometheus/{name}" for name in ("prometheus.yml", *read["rule_files"])} <= mounted
    assert composed["services"]["api"]["networks"]["inside"]["aliases"] == ["ossature"]
    assert targets == {"ossature:8000", "worker:9101"}
    assert composed["services"]["worker"]["command"][-1] == "9101"
    assert composed["services"]["grafana"]["ports"] == ["127.0.0.1:3000:3000"]


def test_nobody_outside_reaches_the_stores_and_the_proxy_speaks_to_the_product_where_it_is_trusted() -> None:
    composed = _composed()
    trusted = composed["services"]["api"]["environment"]["OSSATURE_HTTP_TRUSTED_PROXIES"]

    assert {name for name in STORES if _networks(composed, name) == {"inside"}} == STORES
    assert _networks(composed, "nginx") & _networks(composed, "api") == {"inside"}
    assert composed["networks"]["inside"]["ipam"]["config"] == [{"subnet": trusted}]
