"""Prints, after a run, how many tests each suite ran and how long they took."""

from __future__ import annotations

from collections import defaultdict

import pytest

#: The suites that the README's promises rest on, by the path of their tests.
SUITES = {
    "tests/parity/": "parity: live = replay = evaluate",
    "tests/streaming/state/": "order, lateness, loss",
    "tests/training/leakage/": "leakage certificate",
    "tests/contracts/predictors/": "predictor contract",
    "tests/contracts/broker/": "broker contract, both brokers",
}
OTHERS = "everything else"


def suite_of(nodeid: str) -> str:
    """The suite that a test belongs to."""
    return next((name for path, name in SUITES.items() if nodeid.startswith(path)), OTHERS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line per suite; set-up and tear-down count, a fixture with its first user. Below them what
    a test recorded as ``compared`` or ``table`` (``record_property``)."""
    seconds: dict[str, float] = defaultdict(float)
    outcomes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.getreports(outcome):
            outcomes[suite_of(report.nodeid)][outcome] += 1
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[suite_of(report.nodeid)] += report.duration
    if not outcomes:
        return
    terminalreporter.section("suites")
    for name in (*SUITES.values(), OTHERS):
        if name in outcomes:
            counts = ", ".join(f"{n} {outcome}" for outcome, n in outcomes[name].items())
            terminalreporter.write_line(f"{name:<36}{counts:>24}{seconds[name]:>9.1f} s")
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "compared":
                terminalreporter.write_line(f"  compared: {value}")
            elif name == "table":
                terminalreporter.write_line(str(value))
