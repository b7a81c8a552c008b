"""The forwards of a training over whole sessions, as the checks see them.

A model that is trained by scoring all positions of a session at once can read, at one position,
items that come later. Scored from a directory, context by context, it looks healthy, while its
loss and its validation are false: so the checks go through the very forwards of the training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged


class Asked(NamedTuple):
    """The P questions that a forward asked of its sessions, each scored.

    Attributes:
        session: int64 [P], index into the sessions that were given.
        position: int64 [P], index of the target within its session.
        target: int64 [P], catalog row of the target.
        scores: float32 [P, N].
    """

    session: NDArray[np.int64]
    position: NDArray[np.int64]
    target: NDArray[np.int64]
    scores: NDArray[np.float32]


class SessionForward(ABC):
    """The forwards over whole sessions that a training used.

    Attributes:
        longest: items of a session that one forward takes, its last target included.
        both_sides: the training reads the items on both sides of a masked one (mlm), so that
            only the masked items themselves must not be seen; otherwise it reads the past only.
        one_width: sessions are always padded to the same width, so that padding cannot vary.
    """

    longest: int
    both_sides: bool = False
    one_width: bool = False

    @abstractmethod
    def training(
        self,
        sessions: Ragged,
        *,
        training_mode: bool,
        at: NDArray[np.int64] | None = None,
        width: int | None = None,
        seed: int = 0,
    ) -> Asked:
        """The questions of the forward that the loss is of, without dropout.

        Args:
            sessions: of 2 to ``longest`` items.
            training_mode: with the arithmetic of training, or of evaluation.
            at: int64 [S], of each session the position of the one target to score; None scores
                all (all positions of a large catalog would not fit into memory).
            width: pad to this many columns; None pads as the training does.
            seed: decides what is masked.
        """

    @abstractmethod
    def validation(self, sessions: Ragged, at: NDArray[np.int64]) -> Asked:
        """Of each session the question whose target is at the position ``at`` (int64 [S]), by the
        forward that early stopping scores all positions with."""
