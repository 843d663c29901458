"""What is shipped for logs speaks of events and fields that the product writes; CloudWatch's takes the shapes of AWS.

Neither Loki nor Elasticsearch runs here: their files are read, not tried.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest
import yaml
from botocore.stub import Stubber
from moto import mock_aws

from ossature.kernel import clock
from ossature.kernel.observe import logs
from ossature.kernel.observe.writer import LineWriter

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "deploy" / "logs"
RUNBOOK = ROOT / "docs" / "runbook"
CLOUDWATCH = LOGS / "cloudwatch"
SOURCES = "\n".join(path.read_text() for path in (ROOT / "src" / "ossature").rglob("*.py"))
WORD = r"[a-z][a-z_]*"


def _json(path: str) -> Any:
    return json.loads((LOGS / path).read_text())


def _searches() -> list[dict[str, Any]]:
    lines = (LOGS / "elastic" / "searches.ndjson").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["type"] == "search"]


def _asked(search: dict[str, Any]) -> str:
    source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return str(source["query"]["query"])


def _loki_rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((LOGS / "loki" / "rules" / "fake" / "ossature.yml").read_text())["groups"]
    return list(group["rules"])


def _said() -> dict[str, str]:
    """Everything that asks for lines, by its file."""
    return {
        "loki rules": "\n".join(rule["expr"] for rule in _loki_rules()).replace("[.]", "."),
        "loki queries": "\n".join(_json("loki/queries.json").values()),
        "loki": (LOGS / "loki" / "loki.yml").read_text(),
        "elastic searches": "\n".join(map(_asked, _searches())),
        "elastic alerts": "\n".join(one["params"]["esQuery"] for one in _json("elastic/alerts.json")),
        "cloudwatch filters": "\n".join(one["filterPattern"] for one in _json("cloudwatch/metric-filters.json")),
        "cloudwatch queries": "\n".join(one["queryString"] for one in _json("cloudwatch/queries.json")),
    }


@pytest.mark.parametrize("place", sorted(_said()))
def test_each_event_that_is_looked_for_is_written_somewhere(place: str) -> None:
    looked_for = set(re.findall(rf"\b(?!ossature\.){WORD}\.{WORD}\b", _said()[place]))

    assert [event for event in sorted(looked_for) if f'"{event}"' not in SOURCES] == []
    assert looked_for or place == "loki"


def test_all_three_alert_on_the_same() -> None:
    loki = {rule["alert"] for rule in _loki_rules()}

    assert len(loki) == 7
    assert {one["AlarmName"] for one in _json("cloudwatch/alarms.json")} == loki
    assert {one["name"] for one in _json("elastic/alerts.json")} == loki


def test_all_three_ask_the_same() -> None:
    names = set(_json("loki/queries.json"))

    assert {one["name"].removeprefix("ossature/") for one in _json("cloudwatch/queries.json")} == names
    assert {one["attributes"]["title"].removeprefix("ossature / ") for one in _searches()} == names


def test_an_alert_has_a_page_of_the_runbook() -> None:
    urls = [rule["annotations"]["runbook_url"] for rule in _loki_rules()]
    urls += [one["AlarmDescription"] for one in _json("cloudwatch/alarms.json")]
    pages = {url.rpartition("/")[2].removesuffix(".html") for url in urls}

    assert [page for page in pages if not (RUNBOOK / f"{page}.md").exists()] == []


def test_a_real_line_has_what_the_shippers_take_out_of_it() -> None:
    """Time, level and event stand at the top of a line, the time as the shippers are told to read it."""
    stream = io.BytesIO()
    writer = LineWriter(stream, flush_s=1)
    writer.write(logs.encode({"ms": 12.5, "event": "db.slow_statement", "level": "warning", "at": clock.now()}))
    logs.AccessLog(writer)({"route": "/v1/jobs", "status": 200})
    writer.flush()
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    alloy = (LOGS / "alloy" / "config.alloy").read_text()
    filebeat = yaml.safe_load((LOGS / "elastic" / "filebeat.yml").read_text())
    expressions = re.search(r"expressions = {(.*)}", alloy)
    assert expressions is not None
    taken = re.findall(r'\w+ = "(\w+)"', expressions[1])
    (stamp,) = [one["timestamp"] for one in filebeat["processors"] if "timestamp" in one]

    assert taken == ["at", "level", "event"]
    assert stamp["field"] == "ossature.at"
    for line in lines:
        assert list(line)[:3] == taken
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", line["at"])


def test_aws_takes_retention_filters_alarms_and_queries() -> None:
    with mock_aws():
        cloud = boto3.client("logs", region_name="eu-central-1")
        watch = boto3.client("cloudwatch", region_name="eu-central-1")
        retention, filters = _json("cloudwatch/retention.json"), _json("cloudwatch/metric-filters.json")
        group = retention["logGroupName"]
        cloud.create_log_group(logGroupName=group)
        cloud.put_retention_policy(**retention)
        for one in filters:
            cloud.put_metric_filter(**one)
        for one in _json("cloudwatch/alarms.json"):
            watch.put_metric_alarm(**one)
        kept = cloud.describe_log_groups()["logGroups"][0]["retentionInDays"]
        made = {
            (one["metricTransformations"][0]["metricNamespace"], one["metricTransformations"][0]["metricName"])
            for one in cloud.describe_metric_filters(logGroupName=group)["metricFilters"]
        }
        alarms = watch.describe_alarms()["MetricAlarms"]
        with Stubber(cloud) as stub:
            for one in _json("cloudwatch/queries.json"):
                stub.add_response("put_query_definition", {"queryDefinitionId": "1"}, one)
                cloud.put_query_definition(**one)

    (collected,) = _json("cloudwatch/agent.json")["logs"]["logs_collected"]["files"]["collect_list"]
    assert collected["log_group_name"] == group
    assert kept == collected["retention_in_days"] == 30
    ours = [one for one in alarms if one["Namespace"] != "AWS/Logs"]
    assert {(one["Namespace"], one["MetricName"]) for one in ours} == made
    assert len(alarms) == len(ours) + 1
