"""The cases, trained in two fresh processes and loaded as a daemon loads them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from session_rec import Ragged, Recommender, Slates
from session_rec.errors import UserError
from session_rec.predictors import Predictor, dot_products
from training.fitters import check_installed

from .cases import CASES, Case, probes

_SEEDS = ("1", "2")
K = 7  #: length of the slates of :meth:`Model.slate`


@dataclass(frozen=True)
class Model:
    """A loaded case, and what the suite asks it.

    Attributes:
        in_place: it reads its table of item vectors where it lies, as a large one.
        contexts: the probes, in arrays that cannot be written.
        alone: float32 [B, N], the scores of each probe in a batch of its own.
    """

    case: Case
    in_place: bool
    directory: Path
    recommender: Recommender
    contexts: Ragged
    alone: NDArray[np.float32]
    _slates: dict[int, Slates] = field(default_factory=dict)

    @property
    def predictor(self) -> Predictor:
        """The model itself."""
        return self.recommender.predictor

    def slate(self, b: int) -> Slates:
        """What probe ``b`` is recommended when it is asked alone, K items."""
        if b not in self._slates:
            contexts = item_ids([probes()[b]])
            self._slates[b] = self.recommender.recommend_many(contexts, K)
        return self._slates[b]


def item_ids(contexts: list[list[int]]) -> list[list[str]]:
    """The contexts as a shop names their items."""
    return [[f"item-{row}" for row in context] for context in contexts]


def read_only(contexts: Ragged) -> Ragged:
    """The same contexts; whoever writes into them fails."""
    for array in (contexts.rows, contexts.offsets, contexts.ts, contexts.types):
        array.flags.writeable = False
    return contexts


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two directories with every case, each trained by a process with another hash seed."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers: they train once
    first, second = (root / f"predictor-cases-{seed}" for seed in _SEEDS)
    with (root / "predictor-cases.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not second.is_dir():
            _fit(root)
    return first, second


def _fit(root: Path) -> None:
    """Both at once; the names appear when all went well."""
    script = str(Path(__file__).with_name("fit_cases.py"))
    jobs = []
    for seed in _SEEDS:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, script, str(root / f"fitting-{seed}")]
        jobs.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [job.communicate()[1] for job in jobs]
    for job, error in zip(jobs, errors, strict=True):
        assert job.returncode == 0, error
    for seed in _SEEDS:
        (root / f"fitting-{seed}").rename(root / f"predictor-cases-{seed}")


def case_directory(root: Path, case: Case) -> Path:
    """The model of ``case`` below ``root``; skips where its library is not installed."""
    try:
        check_installed(case.kind)
    except UserError as e:
        pytest.skip(str(e))
    return root / case.name


_HELD = [(case, False) for case in CASES] + [(case, True) for case in CASES if case.table]


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(held, id=held[0].name + (", in place" if held[1] else "")) for held in _HELD
    ],
)
def model(request: pytest.FixtureRequest, fitted: tuple[Path, Path]) -> Iterator[Model]:
    """Each case as it is served."""
    case, in_place = request.param
    directory = case_directory(fitted[0], case)
    with pytest.MonkeyPatch.context() as patch:
        if in_place:
            patch.setattr(dot_products, "PACKED_BYTES", 0)
        recommender = Recommender.load(directory)
    contexts = read_only(Ragged.from_lists(probes()))
    alone = [
        recommender.predictor.score(read_only(contexts.take(np.array([b]))))
        for b in range(len(contexts))
    ]
    yield Model(case, in_place, directory, recommender, contexts, np.concatenate(alone))
