"""`make test`: find the real servers, say which, run the suite, print the coverage that the house asks for.

The whole suite has real processes, two tests at a time, on whatever machine. So it has two rounds: what did not pass in
the first is asked once more, one test at a time, and named (`RERUN`). Whoever passes only then is a defect to mend. A
round that takes too long is stopped, and says with the stacks of its processes where it stood.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from tests import coverage_table, rounds, servers

# Distributions of their own, whose tests lie with them.
PACKAGES = ("packages/darp/tests",)
# Minutes of the two rounds, and the seconds of one test; `FULL=1` has no limit.
ROUND_MINUTES = (45, 20)
TEST_LIMIT_S = 400
# More failures than this are no accident.
ACCIDENTS = 20
STOPPED = 124
ASKED_AGAIN = {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERNAL_ERROR, STOPPED}


def main() -> int:
    """Run the tests; the exit code of pytest, or 124 where it had to be stopped."""
    arguments = _arguments()
    everything = arguments.path == "tests" and not arguments.keyword
    found = servers.found()
    print("Real servers:")
    print(found.table(), flush=True)
    environment = {**os.environ, **found.environment}
    environment["HYPOTHESIS_PROFILE"] = "full" if arguments.full else "short"
    if arguments.cover:
        shutil.rmtree("build/coverage", ignore_errors=True)
    command = _command(arguments, everything=everything)
    try:
        if everything and not arguments.full:
            verdict = two_rounds(command, environment, jobs=arguments.jobs)
        else:
            verdict = subprocess.call([*command, "-n", arguments.jobs], env=environment)
    finally:
        found.stop()
    return (coverage_table.report(judged=everything) if arguments.cover else 0) or verdict


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", default="tests")
    parser.add_argument("--keyword", default="")
    parser.add_argument("--jobs", default="2")
    parser.add_argument(
        "--full", action="store_true", help="the counts that the specifications ask for, slow tests and laws too"
    )
    parser.add_argument("--cover", action="store_true", help="count what is reached, in every process that is started")
    return parser.parse_args()


def _command(arguments: argparse.Namespace, *, everything: bool) -> list[str]:
    measuring = ["-m", "coverage", "run"] if arguments.cover else []
    paths = [*arguments.path.split(), *(PACKAGES if everything else ())]
    command = [sys.executable, *measuring, "-m", "pytest", *paths, "-q", "--dist", "loadfile"]
    if arguments.keyword:
        command += ["-k", arguments.keyword]
    if not arguments.full:
        # `make check` holds the laws. Whoever names a path gets what lies there.
        command += ["-m", "not slow and not law" if everything else "not slow"]
        command += ["--timeout", str(TEST_LIMIT_S)]
    return command


def two_rounds(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    jobs: str,
    minutes: tuple[float, float] = ROUND_MINUTES,
) -> int:
    """Run pytest, and once more for what has not passed; minutes: limit of each round. The last exit code."""
    with tempfile.TemporaryDirectory(prefix="ossature-tests-") as folder:
        passed = Path(folder, "passed")
        told = {**environment, rounds.VARIABLE: str(passed)}
        command = [*command, "-p", "tests.rounds"]
        verdict = _round([*command, "-n", jobs, "--maxfail", str(ACCIDENTS)], told, minutes=minutes[0])
        if verdict not in ASKED_AGAIN or not rounds.passed(passed):
            return verdict
        print("\nA second round, one at a time, for what has not passed:", flush=True)
        verdict = _round([*command, "-n", "0"], told, minutes=minutes[1])
        # Nobody is left where the first round had seen all pass and then did not end.
        return 0 if verdict == pytest.ExitCode.NO_TESTS_COLLECTED else verdict


def _round(command: Sequence[str], environment: Mapping[str, str], *, minutes: float) -> int:
    running = subprocess.Popen(command, env=environment)
    try:
        return running.wait(minutes * 60)
    except subprocess.TimeoutExpired:
        print(f"\nStopped after {minutes} minutes. Where its processes stood:", flush=True)
        _stop(psutil.Process(running.pid))
        running.wait()
        return STOPPED


def _stop(root: psutil.Process) -> None:
    """End a process with all that it started; those of pytest print their stacks first."""
    family = [*root.children(recursive=True), root]
    for sign in (signal.SIGABRT, signal.SIGKILL):
        for process in family:
            try:
                process.send_signal(sign)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=5)


if __name__ == "__main__":
    raise SystemExit(main())
