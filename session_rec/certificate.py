"""The leakage certificate of a model: what was checked before its directory was written.

The checks themselves are a job of the training (``docs/leakage.md``); the engine only knows what
they left in the manifest.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: The checks of a certificate, in the order in which they are told.
CHECKS = ("future", "bundle", "company", "random data", "held out")

Status = Literal["passed", "failed", "not applicable", "not checked"]


class Check(msgspec.Struct, frozen=True):
    """One check of a certificate.

    Attributes:
        status: what came of it. ``failed`` never stands in a manifest: nothing is written then.
        says: one sentence: what was found, or why there was nothing to check.
        numbers: the figures behind it, JSON-able; their meaning: ``docs/leakage.md``.
    """

    status: Status
    says: str
    numbers: dict[str, Any] = {}


class Certificate(msgspec.Struct, frozen=True):
    """What was checked of a model, so that no figure of it is better than it should be.

    Attributes:
        checks: by the names of :data:`CHECKS`.
        seed: what the probes and the random sessions were drawn with.

    >>> found = Check("passed", "HR@20 on random sessions 9.8 %, chance 10.0 %")
    >>> Certificate({"random data": found}, seed=1).line()
    'leakage certificate: passed (HR@20 on random sessions 9.8 %, chance 10.0 %)'
    """

    checks: dict[str, Check]
    seed: int

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(name for name, check in self.checks.items() if check.status == "failed")

    def line(self) -> str:
        """The certificate in one line of text."""
        told = [self.checks[name].says for name in CHECKS if name in self.checks]
        return f"leakage certificate: {'failed' if self.failed else 'passed'} ({'; '.join(told)})"
