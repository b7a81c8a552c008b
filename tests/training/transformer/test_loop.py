from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from session_rec.errors import DataError, UserError
from session_rec.ragged import Ragged
from training.transformer.config import TransformerConfig
from training.transformer.loop import TrainedSequenceModel, fit
from training.transformer.model import weights

from .conftest import N_ITEMS, walks

NOTHING = Ragged.from_lists([])


def train(config: TransformerConfig, run_dir: Path) -> TrainedSequenceModel:
    return fit(walks(400, 0), walks(60, 1), N_ITEMS, config, run_dir=run_dir)


def same(a: TrainedSequenceModel, b: TrainedSequenceModel) -> bool:
    mine, other = weights(a.model), weights(b.model)
    return all(torch.equal(mine[name], other[name]) for name in other)


@pytest.fixture(scope="module")
def uninterrupted(
    tiny: TransformerConfig, tmp_path_factory: pytest.TempPathFactory
) -> TrainedSequenceModel:
    return train(tiny, tmp_path_factory.mktemp("whole"))


def test_it_learns_the_circle(uninterrupted: TrainedSequenceModel) -> None:
    assert uninterrupted.history[-1]["mrr20"] > 0.9
    assert uninterrupted.history[-1]["loss"] < uninterrupted.history[0]["loss"]


def test_a_masked_xlnet_learns_it_too(tiny: TransformerConfig, tmp_path: Path) -> None:
    config = TransformerConfig.model_validate(
        {**tiny.model_dump(), "architecture": "xlnet", "masking": "mlm", "epochs": 12}
    )
    assert max(h["mrr20"] for h in train(config, tmp_path).history) > 0.5


@pytest.mark.parametrize("changes", [{"num_negatives": 0}, {"item_start": "random"}])
def test_the_other_settings_train(
    tiny: TransformerConfig, tmp_path: Path, changes: dict[str, object]
) -> None:
    config = TransformerConfig.model_validate({**tiny.model_dump(), **changes, "epochs": 6})
    assert max(h["mrr20"] for h in train(config, tmp_path).history) > 0.7


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny: TransformerConfig, tmp_path: Path, uninterrupted: TrainedSequenceModel
) -> None:
    torch.rand(7)  # what the process drew before must not matter
    assert same(train(tiny, tmp_path / "again"), uninterrupted)
    other = tiny.model_copy(update={"seed": 2})
    assert not same(train(other, tmp_path / "other"), uninterrupted)


def test_random_data_teach_nothing(tiny: TransformerConfig, tmp_path: Path) -> None:
    """A leak of the target would show as a hit rate far above chance (20 of 60)."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 60, 8).tolist() for _ in range(300)]
    trained = fit(
        Ragged.from_lists(noise[:200]),
        Ragged.from_lists(noise[200:]),
        60,
        tiny.model_copy(update={"epochs": 2}),
        run_dir=tmp_path,
    )
    assert trained.history[-1]["hr20"] < 0.42


_CHILD = """
    import json, os, sys
    from pathlib import Path
    from training.transformer import loop
    from training.transformer.config import TransformerConfig
    from tests_conftest import N_ITEMS, walks

    runs = json.loads(sys.argv[1])
    short = TransformerConfig.model_validate_json(runs[0][1]).model_copy(update={"epochs": 1})
    loop.fit(walks(40, 0), walks(2, 1), N_ITEMS, short, run_dir=Path("warm"))
    step = loop.TrainingRun._step
    codes = {}
    # One process pays for imports and first calls; each run is a fork of it.
    for name, config, kill_at, number in runs:
        child = os.fork()
        if child == 0:
            def counted(self, which):
                if self.state.step == kill_at:
                    os.kill(os.getpid(), number)
                return step(self, which)
            loop.TrainingRun._step = counted
            loop.fit(walks(400, 0), walks(60, 1), N_ITEMS,
                     TransformerConfig.model_validate_json(config), run_dir=Path(name))
            os._exit(0)
        codes[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def killed(tiny: TransformerConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run directories that signals left behind, named for them; exit codes in ``codes.json``."""
    here, folder = Path(__file__).parent, tmp_path_factory.mktemp("killed")
    (folder / "child.py").write_text(textwrap.dedent(_CHILD))
    (folder / "tests_conftest.py").write_text((here / "conftest.py").read_text())
    each_step = tiny.model_copy(update={"checkpoint_minutes": 1e-9})
    # 13 steps an epoch: step 20 lies within the second.
    runs = [
        ("kill, checkpoint each epoch", tiny.model_dump_json(), 20, int(signal.SIGKILL)),
        ("kill, checkpoint each step", each_step.model_dump_json(), 20, int(signal.SIGKILL)),
        ("term", tiny.model_dump_json(), 20, int(signal.SIGTERM)),
        ("int", tiny.model_dump_json(), 5, int(signal.SIGINT)),
    ]
    done = subprocess.run(
        [sys.executable, "child.py", json.dumps(runs)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(here.parents[2])},
        check=True,
        capture_output=True,
    )
    (folder / "codes.json").write_bytes(done.stdout)
    return folder


def left_by(killed: Path, name: str) -> tuple[int, list[str]]:
    """Exit code of a run and the names of its checkpoints."""
    found = (killed / name / "checkpoints").glob("step-*")
    return json.loads((killed / "codes.json").read_text())[name], [p.name for p in found]


@pytest.mark.parametrize(
    "name,checkpoint",
    [
        ("kill, checkpoint each epoch", "step-00000013-0001"),
        ("kill, checkpoint each step", "step-00000020-0001"),
    ],
)
def test_a_run_killed_within_an_epoch_and_resumed_equals_the_uninterrupted_one(
    tiny: TransformerConfig,
    killed: Path,
    uninterrupted: TrainedSequenceModel,
    name: str,
    checkpoint: str,
) -> None:
    assert left_by(killed, name) == (-signal.SIGKILL, [checkpoint])
    resumed = train(tiny, killed / name)
    assert same(resumed, uninterrupted)
    assert [h["loss"] for h in resumed.history] == [h["loss"] for h in uninterrupted.history]
    assert [h["mrr20"] for h in resumed.history] == [h["mrr20"] for h in uninterrupted.history]


def test_sigterm_leaves_a_checkpoint_of_that_very_step(
    tiny: TransformerConfig, killed: Path, uninterrupted: TrainedSequenceModel
) -> None:
    assert left_by(killed, "term") == (128 + signal.SIGTERM, ["step-00000021-0001"])
    assert same(train(tiny, killed / "term"), uninterrupted)


def test_ctrl_c_leaves_a_checkpoint(killed: Path) -> None:
    code, checkpoints = left_by(killed, "int")
    assert code == -signal.SIGINT and checkpoints == ["step-00000006-0000"]


def test_a_finished_run_is_not_trained_again(
    tiny: TransformerConfig, tmp_path: Path, uninterrupted: TrainedSequenceModel
) -> None:
    first = train(tiny, tmp_path)
    started = time.monotonic()
    again = train(tiny, tmp_path)
    assert again.history == first.history
    assert again.seconds == first.seconds <= time.monotonic() - started + first.seconds
    assert same(again, uninterrupted)


def test_a_checkpoint_of_other_settings_is_refused(tiny: TransformerConfig, tmp_path: Path) -> None:
    config = tiny.model_copy(update={"epochs": 1})
    train(config, tmp_path)
    with pytest.raises(UserError, match="checkpoint of another run"):
        train(config.model_copy(update={"seed": 9}), tmp_path)
    assert not list(tmp_path.rglob("*.pt")) and not list(tmp_path.rglob("*.pkl"))


def test_training_stops_when_validation_no_longer_gets_better(
    tiny: TransformerConfig, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    noise = Ragged.from_lists([rng.integers(0, N_ITEMS, 6).tolist() for _ in range(60)])
    config = tiny.model_copy(update={"epochs": 40, "patience": 2, "learning_rate": 0.03})
    history = fit(noise, noise.take(np.arange(20)), N_ITEMS, config, run_dir=tmp_path).history
    figures = [h["mrr20"] for h in history]
    best = figures.index(max(figures))
    assert len(figures) == min(40, best + 1 + 2)


def test_without_validation_the_last_epoch_is_kept(tiny: TransformerConfig, tmp_path: Path) -> None:
    trained = fit(walks(50, 0), NOTHING, N_ITEMS, tiny, run_dir=tmp_path)
    assert len(trained.history) == tiny.epochs
    assert all("mrr20" not in h for h in trained.history)
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_sessions_of_one_item_cannot_be_learnt_from(
    tiny: TransformerConfig, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no next item to learn"):
        fit(Ragged.from_lists([[1], [2]]), NOTHING, N_ITEMS, tiny, run_dir=tmp_path)
