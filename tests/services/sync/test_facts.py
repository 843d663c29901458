"""A finished sync of employees is a fact, which others listen to."""

from dataclasses import replace
from pathlib import Path

from ossature.contracts.sync import EmployeesChanged, RunFinished
from ossature.kernel.context import Ctx
from ossature.kernel.service import Job
from ossature.kernel.testing.houses import open_house
from ossature.services.sync.service import service
from ossature.services.sync.usecases.demo import fill_demo


async def test_the_people_that_were_written_are_told_after_the_run(sqlite_url: str, tmp_path: Path) -> None:
    heard: list[EmployeesChanged | RunFinished] = []

    async def hear(ctx: Ctx, fact: EmployeesChanged | RunFinished) -> None:
        del ctx
        heard.append(fact)

    told = {
        EmployeesChanged: [Job(name="sync.hear_people", run=hear)],
        RunFinished: [Job(name="sync.hear_run", run=hear)],
    }
    async with open_house(replace(service, listens=told), var_dir=tmp_path, database_url=sqlite_url) as home:
        async with home.house.occasion(tenant=home.tenant) as ctx:
            await fill_demo(ctx)
        await home.house.worker().run_due()

    people = [fact for fact in heard if isinstance(fact, EmployeesChanged)]
    assert [(fact.pipeline, fact.change, len(fact.employees)) for fact in people] == [("demo.employees", "created", 40)]
    first = min(people[0].employees, key=lambda one: one.number)
    assert (first.number, first.first_name, first.email, first.active) == (
        "E000",
        "Ada",
        "ada.arnaud@example.org",
        True,
    )
    assert [fact.counts for fact in heard if isinstance(fact, RunFinished)] == [{"done": 40}]
