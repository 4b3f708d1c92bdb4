"""What holds for every test: marks by folder, a clean environment, no skips in CI."""

import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from tests import services

MARKED_FOLDERS = ("flow", "integration", "browser")
SERVICE_MARKS = ("integration", "browser")
OURS = ("PINSPHERE_", "PUBSUB_", "DATABASE_URL", "PORT")

# Two shared cores stall at times: speed is measured by benchmarks, never by a deadline.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure() -> None:
    """The developer's own settings must not steer tests, nor their subprocesses."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """tests/flow/... is marked flow, and so on; files that take minutes come first."""
    root = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(root).parts[0] if item.path.is_relative_to(root) else ""
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)
    # Else one process would still be at them when the others have nothing left to do.
    items.sort(key=lambda item: item.path.parent != root / "integration")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a service test that skips has failed: its install step is missing."""
    report = yield
    is_service = any(item.get_closest_marker(mark) for mark in SERVICE_MARKS)
    if not (os.environ.get("CI") and is_service and report.skipped) or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if services.OPTIONAL not in reason:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped in CI ({reason})"
    return report
