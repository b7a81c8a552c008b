"""What a run left on disk and somebody damaged: one sentence says what to delete."""

import numpy as np
import pytest

from session_rec.errors import DataError
from training.rolling.steps import Step


@pytest.fixture
def step(tmp_path):
    step = Step(tmp_path)
    step.save_weights({"table": np.ones((2, 3), np.float32)})
    step.set_scored("key", {"window": "w", "questions": 3})
    return step


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 100])
def test_damaged_weights_are_named(step, damage):
    assert step.weights()["table"].tolist() == [[1, 1, 1], [1, 1, 1]]
    (step.directory / "weights.safetensors").write_bytes(damage)
    with pytest.raises(DataError, match=rf"{step.directory.name} is damaged: delete it"):
        step.weights()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"3"])
def test_a_damaged_score_is_named(step, damage):
    assert step.scored("key") == {"window": "w", "questions": 3}
    (step.directory / "scored-key.json").write_bytes(damage)
    with pytest.raises(DataError, match=r"scored-key\.json is damaged: delete it"):
        step.scored("key")
