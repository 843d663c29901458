"""A pipeline file is understood whole, or refused with everything that is wrong with it."""

import pytest

from ossature.services.sync.domain.config import Pipeline, ordered, read_pipeline
from ossature.services.sync.domain.filters import Filter
from ossature.services.sync.domain.mapping import FieldMap, Mapper, RowRefused
from ossature.services.sync.domain.problems import PipelineInvalid
from tests.services.sync.builders import PEOPLE, a_pipeline

PROJECTS = """
schema = "ossature.sync/1"
name = "agresso-n2f.projects"
depends_on = ["agresso-n2f.companies"]
key = ["company", "code"]
filter = [{ column = "typ", op = "eq_ci", value = "PROJECT", on_excluded = "ignore" }]
delete = { policy = "never", grace_reads = 2, grace_days = 0, protected = [] }
guards = { too_many_deletes = { min = 10, ratio = 0.05 } }
limits = { max_failures = 50, memory_limit_mb = 512, finish_by = "06:00", plan_ttl_s = 3600 }
schedule = { cron = "15 20 * * *", tz = "Europe/Paris" }
[source]
connection = "agresso"
query_file = "customaxes.sql"
ordered_by_key = false
schema_policy = "warn"
[map]
company = { lookup = "companies", from = "client", by = "code", give = "uuid" }
code = { column = "code", strip = true }
names = { names = { fr = "description", nl = "description" } }
validityDateFrom = { date = "date_from", day_first = true }
validityDateTo = { date = "date_to", day_first = true, never = "2099-12-31" }
[compare]
names = { rule = "names", cultures = ["fr", "nl"] }
validityDateFrom = { rule = "day", tz = "UTC" }
validityDateTo = { rule = "day", tz = "UTC" }
[target]
connection = "n2f"
collection = "axis"
params = { axis = "projects" }
policies = { on_drift = "revert", on_vanished = "recreate", on_conflict = "source_wins" }
verify = true
[profile.dev]
take_per = { column = "typ", n = 10 }
"""
ROW = {
    "client": " be01 ",
    "code": " P-1 ",
    "description": "Bridge",
    "date_from": "31/01/2026",
    "date_to": "31/12/2099",
}
LOOKUPS = {"companies": [{"code": "BE01", "uuid": "MQ=="}]}


def _faults(text: str) -> list[str]:
    with pytest.raises(PipelineInvalid) as refused:
        read_pipeline(text, file="people.toml")
    return [fault.message for fault in refused.value.errors]


def test_the_complete_shape_is_understood() -> None:
    pipeline = read_pipeline(PROJECTS)

    assert pipeline.name == "agresso-n2f.projects"
    assert pipeline.map["company"].head == "lookup"
    assert pipeline.profile["dev"].take_per is not None


def test_every_fault_is_named_with_its_line_and_the_nearest_name() -> None:
    text = PEOPLE.replace('key = ["mail"]', 'kez = ["mail"]').replace('rule = "day"', 'rule = "dya"')
    text = text.replace("day_first = true", "day_frist = true")

    assert _faults(text) == [
        "people.toml:1: key: Field required",
        "people.toml:12: map.since.day_frist: unknown key 'day_frist'; did you mean 'day_first'?",
        "people.toml:16: compare.since: there is no compare rule 'dya'; did you mean 'day'?",
        "people.toml:4: kez: unknown key 'kez'; did you mean 'key'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('path = "people.csv"', 'path = "../people.csv"', "leaves the folder"),
        ('path = "people.csv"', 'path = "people.csv"\nquery = "select 1"', "exactly one of query, query_file and path"),
        ('{ bool = "Active" }', '{ bool = "Active", column = "Active" }', "exactly one function"),
        ('{ bool = "Active" }', '{ bool = "Active", formats = ["%d"] }', "'formats' says nothing to bool"),
        ('{ bool = "Active" }', '{ lookup = "companies" }', "lookup takes from, by and give"),
        ('{ rule = "day" }', '{ rule = "day", scale = 2 }', "'scale' says nothing to day"),
        ('key = ["mail"]', 'key = ["email"]', "did you mean 'mail'?"),
        ('key = ["mail"]', 'key = ["mail"]\nlimits = { max_failures = "many" }', "valid integer"),
        ('name = "people"', "name = ", "Invalid value"),
        ('name = "people"', f"name = {'[' * 3000}", "nests too deep"),
        ('name = "people"', f"name = {'9' * 5000}", "integer string"),
        ('{ rule = "day" }', '{ rule = "day", tz = "Mars/Olympus" }', "no time zone has that name"),
        ("day_first = true", 'tz = "../zone"', "no time zone has that name"),
    ],
)
def test_a_fault_says_what_would_be_right(old: str, new: str, said: str) -> None:
    assert any(said in fault for fault in _faults(PEOPLE.replace(old, new, 1)))


def test_a_filter_must_say_what_an_excluded_row_means_once_records_may_go() -> None:
    text = PEOPLE.replace('key = ["mail"]', 'key = ["mail"]\nfilter = [{ column = "Active", op = "eq", value = "1" }]')
    read_pipeline(text)

    assert any("on_excluded" in fault for fault in _faults(text + '[delete]\npolicy = "delete"\n'))


def _named(name: str, *depends_on: str) -> Pipeline:
    return a_pipeline().model_copy(update={"name": name, "depends_on": list(depends_on)})


def test_pipelines_run_after_those_that_they_depend_on() -> None:
    given = [_named("a", "c"), _named("b"), _named("c", "b")]

    assert [one.name for one in ordered(given)] == ["b", "c", "a"]


def test_a_circle_is_named() -> None:
    with pytest.raises(PipelineInvalid, match="a → b → a"):
        ordered([_named("a", "b"), _named("b", "a")])


def test_a_row_becomes_a_record() -> None:
    assert Mapper(read_pipeline(PROJECTS).map, LOOKUPS).record(ROW) == {
        "company": "MQ==",
        "code": "P-1",
        "names": {"fr": "Bridge", "nl": "Bridge"},
        "validityDateFrom": "2026-01-31",
        "validityDateTo": None,
    }


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"client": "FR99"}, "company", "lookup_miss"),
        ({"client": None}, "company", "lookup_miss"),
        ({"date_from": "31/02/2026"}, "validityDateFrom", "invalid"),
        ({"description": "Bri\x07dge"}, "names", "invalid"),
        ({"description": "Bri\ufffddge"}, "names", "invalid"),
    ],
)
def test_a_row_that_cannot_be_mapped_is_refused_alone(changed: dict[str, str | None], field: str, code: str) -> None:
    mapper = Mapper(read_pipeline(PROJECTS).map, LOOKUPS)

    with pytest.raises(RowRefused) as refused:
        mapper.record(ROW | changed)

    assert (refused.value.field, refused.value.code) == (field, code)
    assert all(str(value) not in str(refused.value) for value in changed.values() if value and len(value) > 3)


@pytest.mark.parametrize(
    ("field", "value", "made"),
    [
        ({"first_of": ["a", "b"]}, {"a": " ", "b": "x"}, "x"),
        ({"int": "a"}, {"a": "12"}, 12),
        ({"decimal": "a"}, {"a": "1.50"}, "1.50"),
        ({"list": "a", "split": ";"}, {"a": "x; y;"}, ["x", "y"]),
        ({"template": "{a} {b}"}, {"a": "x", "b": "y"}, "x y"),
        ({"column": "a", "table": {"Saml": "Sso"}}, {"a": "Saml"}, "Sso"),
        ({"column": "a", "default": "L3"}, {"a": ""}, "L3"),
        ({"column": "a", "collapse_spaces": True, "truncate": 3}, {"a": " a  bcd "}, "a b"),
        ({"instant": "a"}, {"a": "2026-01-31T12:00:00+02:00"}, "2026-01-31T10:00:00Z"),
        ({"when": [{"column": "a", "op": "eq", "value": "x"}], "then": 1, "else": 2}, {"a": "y"}, 2),
        ({"const": True}, {}, True),
    ],
)
def test_a_function_makes_a_value(field: dict[str, object], value: dict[str, object], made: object) -> None:
    assert Mapper({"f": FieldMap.model_validate(field)}, {}).record(value) == {"f": made}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"op": "eq_ci", "value": "project"}, True),
        ({"op": "ne", "value": "PROJECT"}, False),
        ({"op": "in", "value": ["A", "PROJECT"]}, True),
        ({"op": "not_in_ci", "value": ["project"]}, False),
        ({"op": "prefix", "value": "PRO"}, True),
        ({"op": "glob_ci", "value": "pro*"}, True),
        ({"op": "is_null"}, False),
        ({"op": "lt", "value": "Q"}, True),
    ],
)
def test_a_filter_holds_or_not(condition: dict[str, object], holds: bool) -> None:
    assert Filter.model_validate({"column": "typ", **condition}).holds({"typ": "PROJECT"}) is holds


def test_a_comparison_with_nothing_never_holds() -> None:
    assert not Filter(column="n", op="lt", value=3).holds({"n": None})


@pytest.mark.parametrize(
    ("held", "holds"), [("9", True), (" 9.5 ", True), ("10", False), ("12", False), ("many", False)]
)
def test_a_number_that_a_file_gives_as_text_is_compared_as_a_number(held: str, holds: bool) -> None:
    assert Filter(column="n", op="lt", value=10).holds({"n": held}) is holds


@pytest.mark.parametrize("head", ["int", "decimal"])
def test_a_number_that_would_fill_the_memory_refuses_its_row(head: str) -> None:
    mapper = Mapper({"n": FieldMap.model_validate({head: "N"})}, {})

    with pytest.raises(RowRefused, match="not a number"):
        mapper.record({"N": "1e999999999"})


def test_every_column_that_is_read_is_known() -> None:
    conditions = """
filter = [{ column = "Kind", op = "eq", value = "P" }, { op = "any", any = [{ column = "Left", op = "is_null" }] }]
"""
    nested = '{ when = [{ op = "any", any = [{ column = "Active", op = "eq", value = "oui" }] }], then = true }'
    text = PEOPLE.replace('key = ["mail"]', 'key = ["mail"]' + conditions).replace('{ bool = "Active" }', nested)
    profile = '[profile.dev]\ntake_per = { column = "Unit", n = 1 }\nfilter = [{ column = "Town", op = "not_null" }]\n'

    pipeline = read_pipeline(text + profile)

    always = {"Mail", "First", "Last", "Active", "Since", "Kind", "Left"}
    assert (pipeline.columns(), pipeline.columns("dev")) == (always, always | {"Unit", "Town"})
