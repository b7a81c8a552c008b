"""How long hypothesis looks: the same examples in every `make test`, new ones under `make soak`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_LONGER = 10
#: Seconds: a failing example is made small for up to five minutes, and is worth the wait.
patient = pytest.mark.timeout(600)
#: All but `explain`, which can take longer than everything else together.
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]


def quick(examples: int, **more: int) -> settings:
    """Settings for `make test`: no clock and no chance, so that a red test stays red."""
    return settings(
        max_examples=examples,
        deadline=None,
        phases=_PHASES,
        derandomize=True,
        database=None,
        suppress_health_check=_CHECKS,
        **more,
    )


def long(examples: int, **more: int) -> settings:
    """Settings for `make soak`: 10 times the examples of :func:`quick`, from a seed by chance."""
    return settings(
        max_examples=_LONGER * examples,
        deadline=None,
        phases=_PHASES,
        suppress_health_check=_CHECKS,
        print_blob=True,
        **more,
    )


def both(examples: int, *drawn: Any) -> Callable[[Any], tuple[Any, Any]]:
    """Makes of a property its two tests, the quick one and the long one."""

    def decorate(check: Any) -> tuple[Any, Any]:
        soak = pytest.mark.soak(long(examples)(given(*drawn)(check)))
        return patient(quick(examples)(given(*drawn)(check))), soak

    return decorate
