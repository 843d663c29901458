"""A plugin of pytest: who has passed is written down at once, and a second round asks only the others.

The file named by OSSATURE_TEST_PASSED holds one test (its node id) a line. It is written as tests pass, so that it is
true also for a round that was stopped. Without that variable the plugin does nothing.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "OSSATURE_TEST_PASSED"


def passed(path: Path) -> set[str]:
    """Node ids of the tests that an earlier round has seen pass, or skip with a reason."""
    return set(path.read_text().splitlines()) if path.exists() else set()


def pytest_configure(config: pytest.Config) -> None:
    """Write in one process only: the one that hears of all tests."""
    name = os.environ.get(VARIABLE)
    if name and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(Path(name)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out who has passed, and name the others: a first round begins with nobody."""
    name = os.environ.get(VARIABLE)
    done = passed(Path(name)) if name else set()
    if not done:
        return
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
    items[:] = [item for item in items if item.nodeid not in done]
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for item in items:
            reporter.write_line(f"RERUN {item.nodeid}")


class _Writer:
    """Notes a test when its last phase has been reported and none has failed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.when == "teardown" and report.nodeid not in self._failed:
            self._file.write(report.nodeid + "\n")
            self._file.flush()

    def pytest_unconfigure(self) -> None:
        self._file.close()
