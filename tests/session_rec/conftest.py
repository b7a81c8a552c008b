"""A tiny model directory that every test of the engine can look at."""

import numpy as np
import pytest

from session_rec import Catalog, Ragged, SessionRules
from session_rec.bundle import save_bundle
from session_rec.predictors.sequential_rules import SequentialRules


@pytest.fixture
def model_directory(tmp_path):
    """After ``a`` comes ``b`` (3 times) or ``c`` (once); ``d`` was clicked alone."""
    catalog = Catalog(
        ("a", "b", "c", "d"),
        np.array([4, 3, 1, 9]),
        {"name": ["Apple", "Bread", None, "Dill"], "price": [1.0, 2.5, None, 0.5]},
    )
    sessions = Ragged.from_lists([[0, 1], [0, 1], [0, 1], [0, 2], [3] * 9])
    target = tmp_path / "model"
    save_bundle(
        target,
        catalog,
        SequentialRules.fit(sessions, 4),
        SessionRules(),
        data_fingerprint="f" * 64,
        training={"seed": 1},
    )
    return target
