"""Progress of a training run: a rich progress bar and TensorBoard's event files."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from training.transformer.checkpoint import RunState

#: Steps between two points of the loss curve.
_EVERY = 20


class Reporter:
    """Draws where a run stands. ``console`` may be ``None``: then only the event files are."""

    def __init__(
        self, run_dir: Path, console: Console | None, total_steps: int, state: RunState
    ) -> None:
        # Slow to import, and only needed here.
        from torch.utils.tensorboard import SummaryWriter

        # purge_step hides what a killed run wrote after the checkpoint it goes on from.
        self._writer = SummaryWriter(str(run_dir), purge_step=state.step + 1)
        self._console = console
        self._progress = Progress(
            TextColumn("[bold]epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]:,.0f} items/s  loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            console=console,
            disable=console is None,
            transient=True,
        )
        self._task = self._progress.add_task(
            "train", total=total_steps, completed=state.step, epoch=1, rate=0.0, loss=float("nan")
        )
        self._items = 0
        self._losses: list[float] = []
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        self._writer.close()

    def step(self, step: int, epoch: int, loss: float, items: int, rate: float) -> None:
        """A step is done: its loss, its items and its learning rate."""
        self._items += items
        self._losses.append(loss)
        if step % _EVERY:
            return
        now = time.monotonic()
        per_second = self._items / max(now - self._since, 1e-9)
        mean = sum(self._losses) / len(self._losses)
        self._progress.update(
            self._task, completed=step, epoch=epoch + 1, rate=per_second, loss=mean
        )
        self._writer.add_scalar("train/loss", mean, step)
        self._writer.add_scalar("train/learning_rate", rate, step)
        self._writer.add_scalar("train/items_per_second", per_second, step)
        self._items, self._losses, self._since = 0, [], now

    def epoch(self, step: int, record: dict[str, float], seconds: float) -> None:
        """An epoch is done; ``record`` is its entry in the history, ``seconds`` the time of the
        whole run so far."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(f"epoch/{name}", value, step)
        self._since = time.monotonic()
        if self._console is not None:
            line = f"epoch {int(record['epoch']) + 1}: loss {record['loss']:.4f}"
            if "mrr20" in record:
                line += (
                    f", validation (known items) HR@20 {100 * record['hr20']:.2f} "
                    f"MRR@20 {100 * record['mrr20']:.2f}"
                )
            self._console.print(f"{line}, {seconds:.0f} s")
