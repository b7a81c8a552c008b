"""All checks of a trained model, in the order of their cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console

from session_rec.bundle import save_bundle
from session_rec.catalog import Catalog
from session_rec.certificate import CHECKS, Certificate, Check
from session_rec.errors import UserError
from session_rec.event_log import SessionLog
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from training.fitters import FitData, Fitted
from training.leakage.company import check_company
from training.leakage.future import check_future
from training.leakage.held_out import check_held_out
from training.leakage.parity import check_parity
from training.leakage.random_data import check_random_data

#: What probes and random sessions are drawn with: the same for every model, so that the
#: certificates of two models can be compared.
SEED = 20_261_122


class LeakageError(UserError):
    """A model knows what it must not know, so it gets no directory.

    Attributes:
        certificate: all checks, passed and failed.
    """

    def __init__(self, message: str, certificate: Certificate) -> None:
        super().__init__(message)
        self.certificate = certificate


@dataclass(frozen=True)
class FittedOn:
    """What a model was fitted on, and what it must not have seen.

    Attributes:
        data: what the fit was given.
        train: the log that ``data.train`` is of.
        validation: the log that ``data.valid`` is of, and that its figures will be of.
        test: the held-out log, if there is one.
    """

    data: FitData
    train: SessionLog
    validation: SessionLog | None = None
    test: SessionLog | None = None


def certify(
    catalog: Catalog,
    fitted: Fitted,
    rules: SessionRules,
    settings: BaseModel,
    on: FittedOn | None,
    *,
    console: Console | None = None,
) -> Certificate:
    """The certificate of a model without leaks.

    Args:
        catalog, rules: as they will be saved.
        fitted: the model.
        settings: of the model kind.
        on: what it was fitted on; None leaves the held-out sessions unchecked, and says so.
        console: where to say what is being checked.

    Raises:
        LeakageError: a check failed; the sentence names it with its numbers.
        NonFiniteScoreError: a score is NaN or infinite.
    """
    kind, forward = fitted.predictor.kind, fitted.forward
    with tempfile.TemporaryDirectory(prefix="leakage.") as scratch:
        place = Path(scratch) / "model"
        save_bundle(place, catalog, fitted.predictor, rules, data_fingerprint="")
        saved = Recommender.load(place)
        run: dict[str, Callable[[], Check]] = {
            "future": lambda: check_future(saved, forward, SEED),
            "bundle": lambda: check_parity(saved, fitted.predictor, forward, SEED),
            "company": lambda: check_company(saved, forward, SEED),
            "random data": lambda: check_random_data(kind, settings, rules, SEED),
            "held out": lambda: _held_out(catalog, rules, on),
        }
        checks = {}
        with console.status("") if console is not None else nullcontext() as status:
            for name in CHECKS:
                if status is not None:
                    status.update(f"leakage check: {name}")
                checks[name] = run[name]()
    for name, (part, of_part) in fitted.parts.items():
        # A leak of one part would hide behind the others; what leaks there is told as its own.
        found = certify(catalog, part, rules, of_part, None, console=console)
        for check in CHECKS[:-1]:
            checks[check].numbers[f"part {name}"] = found.checks[check].numbers
    certificate = Certificate(checks, SEED)
    if certificate.failed:
        told = "; ".join(f"{n}: {checks[n].says}" for n in certificate.failed)
        raise LeakageError(f"no model is written, as it leaks ({told})", certificate)
    return certificate


def _held_out(catalog: Catalog, rules: SessionRules, on: FittedOn | None) -> Check:
    if on is None:
        return Check("not checked", "test sessions not checked: the job named no data")
    return check_held_out(
        catalog, rules, (on.train, on.data.train), (on.validation, on.data.valid), on.test
    )
