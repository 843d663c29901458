"""`darp`: solve and check benchmark files from a shell."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import darp
from darp import gaps
from darp.cordeau_plan import numbers, read_plan

ALL_SERVED, UNSERVED, UNREADABLE, VIOLATION = range(4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 all served and checked, 1 some are unserved, 2 unreadable, 3 the checker found a violation."""
    asked = _parser().parse_args(arguments)
    try:
        code: int = asked.run(asked)
    except darp.DarpError as error:
        print(f"darp: {error}", file=sys.stderr)
        return UNREADABLE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="darp", description="Dial-a-ride planning on files of Cordeau and Laporte.")
    verbs = parser.add_subparsers(required=True)
    solve = verbs.add_parser("solve", help="plan an instance")
    solve.add_argument("file")
    solve.add_argument("--seconds", type=float, default=5.0)
    solve.add_argument("--clock", choices=[*darp.Clock], default="wall", help="what --seconds counts")
    solve.add_argument("--seed", type=int, default=1)
    solve.add_argument("--threads", type=int, default=1)
    solve.add_argument("--iterations", type=int, help="stop after so many: the same plan each time")
    solve.add_argument("--best-known", metavar="CSV", help="columns instance, best_known: print the gap")
    solve.add_argument("--json", action="store_true", help="print one JSON object")
    solve.set_defaults(run=_solve)
    check = verbs.add_parser("check", help="check a plan that `solve --json` printed")
    check.add_argument("file")
    check.add_argument("plan")
    check.set_defaults(run=_check)
    insert = verbs.add_parser("insert", help="the cheapest vehicles for a request that a plan does not serve")
    explain = verbs.add_parser("explain", help="what every vehicle says to a request that a plan does not serve")
    for verb, run in ((insert, _insert), (explain, _explain)):
        verb.add_argument("file")
        verb.add_argument("plan")
        verb.add_argument("--request", required=True, help="its id: the number of its row")
        verb.add_argument("--json", action="store_true", help="print one JSON list")
        verb.set_defaults(run=run)
    insert.add_argument("-n", type=int, default=3, help="how many offers at most")
    _add_bench(verbs.add_parser("bench", help="gaps of a folder of instances to the best known plans, as a table"))
    version = verbs.add_parser("version", help="version and kernel")
    version.set_defaults(run=_version)
    return parser


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("folder")
    bench.add_argument("--seconds", type=float, default=1.0)
    bench.add_argument("--clock", choices=[*darp.Clock], default="cpu", help="what --seconds counts")
    bench.add_argument("--seeds", type=int, default=1, help="plans of each instance")
    bench.add_argument(
        "--best-known", metavar="CSV", help="columns instance, best_known; else that of the folder, if any"
    )
    bench.add_argument("--into", metavar="FILE", help="write the table between the marks of this file too")
    bench.set_defaults(run=_bench)


def _version(_: argparse.Namespace) -> int:
    print(f"darp {darp.__version__} {darp.KERNEL}")
    return 0


def _solve(asked: argparse.Namespace) -> int:
    problem = darp.read_cordeau(asked.file)
    best = gaps.best_known(asked.best_known).get(Path(asked.file).stem) if asked.best_known else None
    # Iterations decide alone, so that the plan does not depend on how quick the machine is.
    seconds = asked.seconds if asked.iterations is None else float("inf")
    plan = darp.solve(problem, seconds, asked.seed, asked.threads, max_iterations=asked.iterations, clock=asked.clock)
    violations = darp.check(problem, plan)
    document: dict[str, Any] = {
        "instance": Path(asked.file).stem,
        "kernel": plan.kernel,
        "cost": round(plan.cost, 6),
        "unserved": list(plan.unserved),
        "vehicles_used": len(plan.routes),
        "routes": numbers(problem, plan),
        "iterations": plan.iterations,
        # What depends on the clock is left out where the output must be the same each time.
        "seconds": round(plan.seconds, 3) if asked.iterations is None else None,
        "seed": plan.seed,
        "threads": plan.threads,
        "violations": [_as_text(one) for one in violations],
        "gap_percent": None if best is None else round(100 * (plan.cost / best - 1), 4),
    }
    print(json.dumps(document) if asked.json else _table(document))
    if violations:
        return VIOLATION
    return UNSERVED if plan.unserved else ALL_SERVED


def _check(asked: argparse.Namespace) -> int:
    problem = darp.read_cordeau(asked.file)
    plan = read_plan(problem, asked.plan)
    violations = darp.check(problem, plan)
    for violation in violations:
        print(_as_text(violation))
    print(f"cost {plan.cost:.2f}, {len(plan.unserved)} unserved, {len(violations)} violations")
    if violations:
        return VIOLATION
    return UNSERVED if plan.unserved else ALL_SERVED


def _insert(asked: argparse.Namespace) -> int:
    problem = darp.read_cordeau(asked.file)
    plan = _plan_without(problem, asked)
    offers = darp.insert(problem, plan, asked.request, n=asked.n)
    if asked.json:
        print(json.dumps([asdict(offer) for offer in offers]))
    for offer in () if asked.json else offers:
        stops = offer.route.stops
        begins = (stops[position].begin for position in (offer.pickup_position, offer.dropoff_position))
        times = " to ".join(f"{begin:.2f}" for begin in begins)
        delays = ", ".join(f"{one.kind} {one.request} by {one.delay:.2f}" for one in offer.shifted) or "nobody"
        print(f"vehicle {offer.vehicle}: {offer.added_cost:+.2f}, {times}; delays {delays}")
    return ALL_SERVED if offers else UNSERVED


def _explain(asked: argparse.Namespace) -> int:
    problem = darp.read_cordeau(asked.file)
    answers = darp.explain(problem, _plan_without(problem, asked), asked.request)
    if asked.json:
        print(json.dumps([asdict(answer) for answer in answers]))
    for answer in () if asked.json else answers:
        rules = ", ".join(f"{one.rule} by {one.amount:.2f}" for one in answer.obstacles) or "several rules together"
        added = answer.added_cost
        print(f"vehicle {answer.vehicle}: {f'{added:+.2f}' if added is not None else f'no: {rules}'}")
    return ALL_SERVED if any(answer.added_cost is not None for answer in answers) else UNSERVED


def _plan_without(problem: darp.Problem, asked: argparse.Namespace) -> darp.Plan:
    """The plan that a request shall go into, which keeps the rules."""
    if asked.request not in {one.id for one in problem.requests}:
        raise darp.PlanError(f"there is no request {asked.request!r}")
    plan = read_plan(problem, asked.plan)
    if violations := darp.check(problem, plan):
        raise darp.PlanError(f"{asked.plan}: breaks a rule: {_as_text(violations[0])}")
    return plan


def _bench(asked: argparse.Namespace) -> int:
    beside = (Path(asked.folder) / "best_known.csv", Path(asked.folder).parent / "best_known.csv")
    csv = asked.best_known or next((path for path in beside if path.is_file()), None)
    clock, known = darp.Clock(asked.clock), gaps.best_known(csv) if csv else {}
    found = []
    for gap in gaps.measured(asked.folder, asked.seconds, range(1, asked.seeds + 1), clock=clock, known=known):
        found.append(gap)
        print(f"{len(found)} {gap.instance} {gap.cost:.2f}", file=sys.stderr, flush=True)
    text = gaps.table(found, seconds=asked.seconds, seeds=asked.seeds, clock=clock, version=darp.__version__)
    print(text)
    if asked.into:
        gaps.write_into(asked.into, text)
    if any(gap.violations for gap in found):
        return VIOLATION
    return UNSERVED if any(gap.unserved for gap in found) else ALL_SERVED


def _as_text(violation: darp.Violation) -> str:
    who = ", ".join(
        f"{kind} {name}" for kind, name in (("vehicle", violation.vehicle), ("request", violation.request)) if name
    )
    return f"{violation.rule}: {who or 'plan'}: {violation.amount:g}"


def _table(document: dict[str, Any]) -> str:
    return "\n".join(f"{name:<14} {value}" for name, value in document.items() if value is not None)
