"""Checkpoints of a training run: tensors as safetensors, the rest as JSON, nothing pickled.

A run directory holds ``checkpoints/step-00001234-0003/`` (steps and finished epochs) with
``tensors.safetensors`` (weights, best weights, optimizer moments) and ``state.json``. A checkpoint
is written beside under a temporary name and renamed when whole, so that a killed run leaves the
previous one. No random state is kept: everything random in a step follows from (seed, step).
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from session_rec.errors import UserError
from session_rec.files import new_directory

_FORMAT = 1


@dataclass
class RunState:
    """Where a run stands.

    Attributes:
        step: steps done, over all epochs.
        epoch_loss: sum of the losses of the running epoch's steps.
        history: one record per finished epoch.
        best_epoch: epoch (from 0) with the best validation MRR@20; -1 before the first.
        best_mrr: that MRR@20, in 0..1.
        done: training has ended.
        seconds: wall-clock seconds trained, over all restarts.
    """

    step: int = 0
    epoch_loss: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    best_mrr: float = -1.0
    done: bool = False
    seconds: float = 0.0


def save_checkpoint(
    run_dir: Path,
    fingerprint: str,
    state: RunState,
    weights: dict[str, Tensor],
    best: dict[str, Tensor],
    optimizer: dict[str, Tensor],
) -> Path:
    """Writes a checkpoint, then removes the older ones. Returns its directory."""
    root = run_dir / "checkpoints"
    # The last step of an epoch can be saved twice: before its validation and after.
    target = root / f"step-{state.step:08d}-{len(state.history):04d}"
    groups = {"weights": weights, "best": best, "optimizer": optimizer}
    tensors = {
        # safetensors refuses tensors that share memory: the copies are cheap beside the file.
        f"{group}/{name}": tensor.clone(memory_format=torch.contiguous_format)
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    record = {"format": _FORMAT, "fingerprint": fingerprint, **vars(state)}
    with new_directory(target, replace=True) as partial:
        save_file(tensors, partial / "tensors.safetensors")
        (partial / "state.json").write_text(json.dumps(record, indent=1))
        for file in partial.iterdir():
            _flush(file)
    for old in root.iterdir():
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def newest_checkpoint(run_dir: Path) -> Path | None:
    """The directory of the newest whole checkpoint, if there is one."""
    found = sorted((run_dir / "checkpoints").glob("step-*"))
    return found[-1] if found else None


def load_checkpoint(
    directory: Path, fingerprint: str
) -> tuple[RunState, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """State, weights, best weights and optimizer tensors of a checkpoint.

    Raises:
        UserError: it belongs to other data, other settings or another format.
    """
    record: dict[str, Any] = json.loads((directory / "state.json").read_text())
    if record.pop("format") != _FORMAT or record.pop("fingerprint") != fingerprint:
        raise UserError(
            f"{directory} is the checkpoint of another run (other data or settings): "
            "choose another run directory, or delete this one to start anew"
        )
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for key, tensor in load_file(directory / "tensors.safetensors").items():
        group, name = key.split("/", 1)
        groups[group][name] = tensor
    return RunState(**record), groups["weights"], groups["best"], groups["optimizer"]


def optimizer_tensors(optimizers: list[Optimizer], names: dict[Tensor, str]) -> dict[str, Tensor]:
    """The optimizers' state by parameter name, as ``name@slot``."""
    return {
        f"{names[parameter]}@{slot}": value
        for optimizer in optimizers
        for parameter, slots in optimizer.state.items()
        for slot, value in slots.items()
    }


def restore_optimizers(
    optimizers: list[Optimizer], saved: dict[str, Tensor], names: dict[Tensor, str]
) -> None:
    """Puts the tensors of :func:`optimizer_tensors` back."""
    parameters = {name: parameter for parameter, name in names.items()}
    owner = {p: o for o in optimizers for group in o.param_groups for p in group["params"]}
    for key, value in saved.items():
        name, slot = key.rsplit("@", 1)
        owner[parameters[name]].state[parameters[name]][slot] = value


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
