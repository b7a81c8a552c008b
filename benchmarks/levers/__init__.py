"""Changes to the transformer's training that were tried, by name; those that helped are in
``training`` itself."""

from __future__ import annotations

from typing import Any

from benchmarks.levers.bodies import Electra, GatedLayers, LastItemPath
from benchmarks.levers.inputs import Crop, Drop, Reorder, TimeGaps
from benchmarks.levers.lever import Lever, MakeLever
from benchmarks.levers.losses import Gbce, HardestNegatives, InBatch, LabelSmoothing
from benchmarks.levers.readouts import Copying, Interests
from benchmarks.levers.starts import (
    InputMatrix,
    Item2VecStart,
    OtherCooccurrence,
    TableRate,
    UntiedTables,
)


def levers(item2vec: dict[str, Any], two_stage: dict[str, Any]) -> dict[str, MakeLever]:
    """Every row by name; the arguments are the settings of those models' own recipes."""

    def taught(share: float, folds: int = 4) -> Lever:
        return Lever(teacher={"settings": two_stage, "folds": folds, "share": share})

    return {
        "base": Lever,
        # The loss and its negatives.
        "full-softmax": lambda: Lever(num_negatives=0),
        "negatives-1024": lambda: Lever(num_negatives=1024),
        "negatives-8192": lambda: Lever(num_negatives=8192),
        "negatives-16384": lambda: Lever(num_negatives=16384),
        "in-batch": InBatch,
        "hardest-100": lambda: HardestNegatives(100),
        "hardest-500": lambda: HardestNegatives(500),
        "gbce-.75": lambda: Gbce(0.75),
        "gbce-0": lambda: Gbce(0.0),
        "smooth-.1": lambda: LabelSmoothing(0.1),
        "smooth-.02": lambda: LabelSmoothing(0.02),
        "distilled-.3": lambda: taught(0.3),
        "distilled-.5": lambda: taught(0.5),
        "distilled-.8": lambda: taught(0.8),
        "distilled-.5-2-folds": lambda: taught(0.5, folds=2),
        "distilled-.8-2-folds": lambda: taught(0.8, folds=2),
        # The reader of a session.
        "gated": GatedLayers,
        "gated-2": lambda: GatedLayers(n_layers=2),
        "electra": Electra,
        "last-item": LastItemPath,
        "input-matrix": InputMatrix,
        "wide-192": lambda: Lever(d_model=192),
        "wide-256": lambda: Lever(d_model=256),
        "layers-2": lambda: Lever(n_layers=2),
        # From hidden state to scores.
        "interests-2": lambda: Interests(2, mixture=False),
        "interests-4": lambda: Interests(4, mixture=False),
        "mixture-2": lambda: Interests(2, mixture=True),
        "mixture-4": lambda: Interests(4, mixture=True),
        "no-repeat-gate": lambda: Lever(repeat_gate=False),
        "gate-of-items": lambda: Copying(gate=True),
        "copy-bonus": lambda: Copying(gate=False),
        # What is shown.
        "gaps": TimeGaps,
        "crop": lambda: Crop(0.3),
        "drop": lambda: Drop(0.3),
        "reorder": lambda: Reorder(0.3),
        # The item table.
        "item2vec-inputs": lambda: Item2VecStart(item2vec, "inputs"),
        "item2vec-outputs": lambda: Item2VecStart(item2vec, "outputs"),
        "item2vec-sum": lambda: Item2VecStart(item2vec, "sum"),
        "window-1": lambda: OtherCooccurrence(1, 0.0),
        "window-2": lambda: OtherCooccurrence(2, 0.0),
        "window-5": lambda: OtherCooccurrence(5, 0.0),
        "discount": lambda: OtherCooccurrence(10, 1.0),
        "window-2-discount": lambda: OtherCooccurrence(2, 1.0),
        "window-2-discount-256": lambda: OtherCooccurrence(2, 1.0, d_model=256),
        "untied": UntiedTables,
        "table-rate-.5": lambda: TableRate(0.5),
        "table-rate-.25": lambda: TableRate(0.25),
        "table-rate-2": lambda: TableRate(2.0),
        # The training's length and rate.
        "epochs-5": lambda: Lever(epochs=5),
        "epochs-10": lambda: Lever(epochs=10),
        "epochs-14": lambda: Lever(epochs=14),
        "rate-.5": lambda: Lever(learning_rate=1e-3),
        "rate-2": lambda: Lever(learning_rate=4e-3),
        "length-50": lambda: Lever(max_length=50),
    }
