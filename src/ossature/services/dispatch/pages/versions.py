"""The plans that a day had, and the runs that made them or failed to."""

from collections.abc import Callable, Sequence

from ossature.kernel.console import say
from ossature.kernel.console.parts import empty, panel, tag
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.domain.plans import Plan, Run
from ossature.services.dispatch.pages.states import PLANS, RUNS, plan_lamp, run_lamp

WORDS = Words(
    "dispatch.versions",
    {
        "plans": "Plans of this day",
        "none": "No plan yet",
        "none_text": "A plan gives every trip a driver, a vehicle and a time, and breaks no window and no ride-time limit.",
        "plan": "Day plan",
        "number": "No. {number}",
        "state": "State",
        "trips": "Trips",
        "left": "Left over",
        "duties": "Duties",
        "driven": "Driven",
        "made": "Made",
        "published": "Published",
        "runs": "Runs of the planner",
        "begun": "Asked for",
        "took": "Took",
        "searched": "Searched",
        "iterations": "Attempts",
        "solver": "Solver",
        "ways": "Ways from",
        "problem": "Problem",
    },
)


def versions(visit: Visit, plans: Sequence[Plan], runs: Sequence[Run], path: Callable[[Plan], str]) -> None:
    """Both tables. path: where the day is looked at with a plan."""
    with panel(WORDS("plans")):
        if plans:
            table(plans, _plan_columns(visit, path))
        else:
            empty(WORDS("none"), WORDS("none_text"))
    if runs:
        with tag("details", cls="o-panel"):
            tag("summary", WORDS("runs"))
            table(runs, _run_columns(visit))


def _plan_columns(visit: Visit, path: Callable[[Plan], str]) -> list[Column[Plan]]:
    zone = visit.tenant.zone
    return [
        Column(WORDS("plan"), lambda plan: WORDS("number", number=plan.number), path=path),
        Column(WORDS("state"), lambda plan: PLANS(plan.state.value), lambda plan: plan_lamp(plan.state), tight=True),
        Column(WORDS("trips"), lambda plan: say.count(plan.metrics["trips"]), numeric=True),
        Column(WORDS("left"), lambda plan: say.count(plan.metrics["unserved"]), numeric=True),
        Column(WORDS("duties"), lambda plan: say.count(plan.metrics["duties_used"]), numeric=True),
        Column(WORDS("driven"), lambda plan: say.distance(plan.metrics["distance_m"]), numeric=True),
        Column(WORDS("made"), lambda plan: say.instant(plan.created_at, zone), numeric=True),
        Column(WORDS("published"), lambda plan: say.instant(plan.published_at, zone), numeric=True),
    ]


def _run_columns(visit: Visit) -> list[Column[Run]]:
    zone = visit.tenant.zone
    return [
        Column(WORDS("begun"), lambda run: say.instant(run.created_at, zone), tight=True),
        Column(WORDS("state"), lambda run: RUNS(run.state.value), lambda run: run_lamp(run.state), tight=True),
        Column(WORDS("took"), lambda run: say.span(_took_s(run)), numeric=True),
        Column(WORDS("searched"), lambda run: say.latency(run.solve_ms), numeric=True),
        Column(
            WORDS("iterations"),
            lambda run: say.NOTHING if run.iterations is None else say.count(run.iterations),
            numeric=True,
        ),
        Column(WORDS("solver"), lambda run: run.solver_version or say.NOTHING, tight=True),
        Column(WORDS("ways"), lambda run: ", ".join(sorted(run.sources)) or say.NOTHING, tight=True),
        Column(WORDS("problem"), lambda run: run.reason or say.NOTHING),
    ]


def _took_s(run: Run) -> float | None:
    return None if run.ended_at is None else max(0.0, (run.ended_at - run.created_at).total_seconds())
