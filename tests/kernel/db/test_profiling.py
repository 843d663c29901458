"""What an operator sees of the statements of a request when they ask for it."""

from pathlib import Path

import pytest

from ossature.kernel.config import Config
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.testing.houses import open_house


@pytest.mark.parametrize("profiling", [True, False])
async def test_an_answer_says_how_many_statements_it_took_and_how_long_where_that_is_switched_on(
    tmp_path: Path, sqlite_url: str, *, profiling: bool
) -> None:
    settings = DatabaseSettings(url=sqlite_url, profiling=profiling)
    async with (
        open_house(var_dir=tmp_path, database_url=sqlite_url, settings=[settings]) as home,
        home.client() as http,
    ):
        headers = (await http.get("/v1/projects")).headers

    assert (int(headers.get("x-db-query-count", 0)) >= 1) is profiling
    assert (float(headers.get("x-db-total-time-ms", 0)) > 0) is profiling


def test_it_is_switched_on_by_either_name() -> None:
    for name in ("OSSATURE_DB_PROFILING", "OSSATURE_DATABASE_PROFILING"):
        config, findings = Config.examine([DatabaseSettings], {name: "true"})
        assert config[DatabaseSettings].profiling
        assert not [finding for finding in findings if finding.setting == name]
