"""What holds for every test."""

import signal

from hypothesis import Phase, settings
from suite_times import pytest_terminal_summary as pytest_terminal_summary

#: How long an example takes says more of the machine than of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
#: For ``make mutants``: that a test fails is enough, a small example of it takes minutes.
settings.register_profile(
    "no-shrinking", deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


def pytest_configure() -> None:
    """Ctrl-C works in tests of it: a shell starts its background jobs with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
