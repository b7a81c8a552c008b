"""Other views of a session: its times, and its augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.levers.lever import Lever, LeverRun
from session_rec.ragged import Ragged
from training.transformer.block import SameWidthBlock
from training.transformer.bodies import build_body
from training.transformer.config import SequenceTrainingConfig

#: log2 of seconds: from a second to a day and more.
_GAPS = 18


class _WithGaps(SameWidthBlock):
    def __init__(self, body: Any, d_model: int) -> None:
        super().__init__()
        self.body = body
        self.vectors = nn.Embedding(_GAPS, d_model)
        nn.init.zeros_(self.vectors.weight)
        self.gaps = torch.zeros(0, 0, dtype=torch.long)

    def forward(self, vectors: Tensor) -> Tensor:
        read: Tensor = self.body(vectors + self.vectors(self.gaps[:, : vectors.shape[1]]))
        return read


class TimeGaps(Lever):
    """A vector for the seconds since the item before is added to each item's."""

    def body(self, config: SequenceTrainingConfig, masking: Any) -> Any:
        self.read = _WithGaps(build_body(config, masking), config.d_model)
        return self.read

    def seen(self, sessions: Ragged, which: NDArray[np.int64], ids: Tensor) -> None:
        starts, lengths = sessions.offsets[which], sessions.lengths[which]
        columns = np.arange(ids.shape[1])
        at = np.minimum(starts[:, None] + columns, len(sessions.ts) - 1)
        before = np.maximum(at - 1, starts[:, None])
        seconds = (sessions.ts[at] - sessions.ts[before]) / 1000
        bucket = 1 + np.floor(np.log2(np.maximum(seconds, 1)))
        inside = (columns > 0) & (columns < lengths[:, None])
        self.read.gaps = torch.from_numpy(
            np.where(inside, np.minimum(bucket, _GAPS - 1), 0).astype(np.int64)
        )


class _Augmented(Lever, ABC):
    """With ``share``, a session is shown changed."""

    def __init__(self, share: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.share = share

    def shown(self, run: LeverRun, which: NDArray[np.int64]) -> tuple[Ragged, NDArray[np.int64]]:
        rng = np.random.default_rng([run.config.seed, run.state.step, 0xA06])
        sessions = run.sessions
        parts = []
        for s in which.tolist():
            places = np.arange(sessions.offsets[s], sessions.offsets[s + 1])
            if len(places) > 2 and rng.random() < self.share:
                places = self.change(rng, places, sessions)
            parts.append(places)
        flat = np.concatenate(parts)
        offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts])])
        changed = Ragged(sessions.rows[flat], offsets, sessions.ts[flat], sessions.types[flat])
        return changed, np.arange(len(which))

    @abstractmethod
    def change(
        self, rng: np.random.Generator, places: NDArray[np.int64], sessions: Ragged
    ) -> NDArray[np.int64]:
        """Of the places of a session's events, those that are shown, in that order."""


class Crop(_Augmented):
    """A contiguous part of the session, two items or more."""

    def change(
        self, rng: np.random.Generator, places: NDArray[np.int64], sessions: Ragged
    ) -> NDArray[np.int64]:
        length = int(rng.integers(2, len(places) + 1))
        first = int(rng.integers(0, len(places) - length + 1))
        return places[first : first + length]


class Drop(_Augmented):
    """Each item but the last is left out with a probability of .2."""

    def change(
        self, rng: np.random.Generator, places: NDArray[np.int64], sessions: Ragged
    ) -> NDArray[np.int64]:
        kept = rng.random(len(places)) >= 0.2
        kept[-1] = True
        return places[kept] if kept.sum() >= 2 else places


class Reorder(_Augmented):
    """Two neighbours that are less than 30 seconds apart change places."""

    def change(
        self, rng: np.random.Generator, places: NDArray[np.int64], sessions: Ragged
    ) -> NDArray[np.int64]:
        near = np.flatnonzero(np.diff(sessions.ts[places]) < 30_000)
        if len(near) == 0:
            return places
        i = int(rng.choice(near))
        swapped = places.copy()
        swapped[[i, i + 1]] = swapped[[i + 1, i]]
        return swapped
