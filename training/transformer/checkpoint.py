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

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from session_rec.errors import UserError

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
    root.mkdir(parents=True, exist_ok=True)
    # The last step of an epoch can be saved twice: before its validation and after.
    target = root / f"step-{state.step:08d}-{len(state.history):04d}"
    partial = root / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    tensors = {f"weights/{k}": v.contiguous() for k, v in weights.items()}
    tensors |= {f"best/{k}": v.contiguous() for k, v in best.items()}
    tensors |= {f"optimizer/{k}": v.contiguous() for k, v in optimizer.items()}
    # safetensors refuses tensors that share memory: the copies are cheap beside the file.
    save_file({k: v.clone() for k, v in tensors.items()}, partial / "tensors.safetensors")
    record = {"format": _FORMAT, "fingerprint": fingerprint, **vars(state)}
    (partial / "state.json").write_text(json.dumps(record, indent=1))
    for name in ("tensors.safetensors", "state.json"):
        _flush(partial / name)
    partial.rename(target)
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
