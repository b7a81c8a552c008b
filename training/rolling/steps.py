"""What is kept of a run: one directory per model and window, each file whole or not at all.

``RUN_DIR/MODEL/WINDOW-KEY/`` holds

- ``model/``, the model directory that was scored, and ``weights.safetensors``, which the next
  window's warm start goes on from: only of the newest window, unless all models are kept;
- ``trained.json``: the two are whole;
- ``scored-KEY.json``: the ranks of the next window's questions, with figures and protocol;
- ``run/`` while a transformer is training: its checkpoints.

The keys are hashes of every setting that decides the content and of the data up to the window (for
``scored``, of the next window too). So another setting never mixes with what is there, and what
was done stays good when newer data is added.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from session_rec.console import write_json
from session_rec.errors import DataError
from session_rec.files import write_file
from training.warm_start import TrainingWeights


def key_of(decides: Mapping[str, Any]) -> str:
    """16 hex digits that are equal for equal values only.

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(msgspec.json.encode(decides, order="sorted")).hexdigest()[:16]


@dataclass(frozen=True)
class Step:
    """The directory of one model after one window."""

    directory: Path

    @property
    def model(self) -> Path:
        """The model directory."""
        return self.directory / "model"

    @property
    def run_dir(self) -> Path:
        """Where a training keeps its checkpoints while it runs."""
        return self.directory / "run"

    @property
    def is_trained(self) -> bool:
        """Whether model and weights are there and whole."""
        return (self.directory / "trained.json").is_file()

    def weights(self) -> TrainingWeights:
        """What the training left for the next one."""
        try:
            arrays: TrainingWeights = load_file(self.directory / "weights.safetensors")
        except (OSError, SafetensorError):
            # The model of this window goes with its weights: both are made again.
            raise DataError(
                f"{self.directory} is damaged: delete it, and it is made again"
            ) from None
        return arrays

    def trained(self) -> dict[str, Any]:
        """The record that :meth:`set_trained` wrote."""
        return _read(self.directory / "trained.json")

    def save_weights(self, weights: TrainingWeights) -> None:
        """Keeps the weights, before :meth:`set_trained`."""
        arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        write_file(self.directory / "weights.safetensors", save(arrays))

    def set_trained(self, record: Mapping[str, Any]) -> None:
        """Says that model and weights are whole; checkpoints are of no use any more."""
        write_json(self.directory / "trained.json", dict(record))
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def scored(self, key: str) -> dict[str, Any] | None:
        """What :meth:`set_scored` wrote under ``key``, if it did."""
        path = self.directory / f"scored-{key}.json"
        return _read(path) if path.is_file() else None

    def set_scored(self, key: str, record: Mapping[str, Any]) -> None:
        """Keeps what came of scoring the next window."""
        write_file(self.directory / f"scored-{key}.json", msgspec.json.encode(record) + b"\n")

    def forget_model(self) -> None:
        """Removes model and weights; what was scored stays."""
        # First: a directory that still says `trained` must have both.
        (self.directory / "trained.json").unlink(missing_ok=True)
        (self.directory / "weights.safetensors").unlink(missing_ok=True)
        shutil.rmtree(self.model, ignore_errors=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError:
        raise DataError(f"{path} is damaged: delete it, and it is made again") from None
