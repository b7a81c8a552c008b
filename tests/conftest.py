"""What holds for every test."""

import signal

from suite_times import pytest_terminal_summary as pytest_terminal_summary


def pytest_configure() -> None:
    """Ctrl-C works in tests of it: a shell starts its background jobs with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
