"""The real leak: Transformers4Rec's XLNet with causal masking, trained by our own code.

XLNet attends in both directions, so every position reads the item that it is asked for. The
settings refuse that; here they are got around.
"""

from __future__ import annotations

from session_rec.ragged import Ragged
from session_rec.sessions import SessionRules
from training.fitters import FitData, fit_model
from training.leakage.future import check_future
from training.leakage.random_data import check_random_data
from training.transformer.config import TransformerConfig

from .conftest import serving

SMALL = TransformerConfig(
    d_model=16, n_heads=2, n_layers=1, max_length=8, learning_rate=1e-2, epochs=1, threads=1
)
#: As it would be without its guard: a copy is not validated.
LEAKING = SMALL.model_copy(update={"architecture": "xlnet", "masking": "clm"})
HONEST = SMALL.model_copy(update={"architecture": "xlnet", "masking": "mlm"})


def fitted(config, tmp_path):
    sessions = Ragged.from_lists([[i % 30, (i + 1) % 30, (i + 2) % 30] for i in range(64)])
    data = FitData(sessions, Ragged.from_lists([]), 30, tmp_path)
    return fit_model("transformer", data, config)


def test_later_items_change_its_scores(tmp_path):
    model = fitted(LEAKING, tmp_path)
    check = check_future(serving(model.predictor), model.forward, 1)
    assert check.status == "failed"
    assert check.numbers["training forward"] > 1e-3
    assert check.numbers["training forward, eval mode"] > 1e-3
    # What is served reads the past only: the leak shows nowhere but in the training.
    assert check.numbers["windows into a log"] == 0


def test_masked_training_passes_in_spite_of_its_two_directions(tmp_path):
    model = fitted(HONEST, tmp_path)
    check = check_future(serving(model.predictor), model.forward, 1)
    assert check.status == "passed" and check.numbers["training forward"] == 0.0


def test_it_learns_random_sessions_by_reading_them(fresh_random_data):
    check = check_random_data("transformer", LEAKING, SessionRules(), 1)
    assert check.status == "failed"
    looks = check.numbers["training forward"]["looks"]
    assert len(looks) == 2 and min(look["hr"] for look in looks) > 0.5
    # The prefixes that early stopping and the bundle score hold no target to read.
    assert check.numbers["saved model"]["passed"]
