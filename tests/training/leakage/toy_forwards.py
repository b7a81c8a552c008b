"""Forwards over whole sessions that a reader can check, one of them honest."""

from __future__ import annotations

import numpy as np

from session_rec.ragged import Ragged
from training.leakage.forward import Asked, SessionForward
from training.transformer.batches import pad


class ToyForward(SessionForward):
    """The score at a position is a row of a table, chosen by the item before the target."""

    longest = 11

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def hidden(self, ids: np.ndarray, training_mode: bool) -> np.ndarray:
        """float32 [B, L, N] for ids [B, L] (row + 1, padded with 0)."""
        return self.table[np.maximum(ids - 1, 0)]

    def training(self, sessions, *, training_mode, at=None, width=None, seed=0):
        ids = pad(sessions, np.arange(len(sessions)), width)
        hidden = self.hidden(ids, training_mode)
        session, place = np.nonzero(ids[:, 1:])
        if at is not None:
            session, place = np.arange(len(sessions)), at - 1
        return Asked(session, place + 1, ids[session, place + 1] - 1, hidden[session, place])

    def validation(self, sessions: Ragged, at) -> Asked:
        return ToyForward.training(self, sessions, training_mode=False, at=at)


class ReadsTheTarget(ToyForward):
    """Off by one: the score at a position is chosen by the very item that it asks for."""

    def hidden(self, ids, training_mode):
        return super().hidden(np.roll(ids, -1, axis=1), training_mode)


class ReadsTheTargetInTrainingOnly(ToyForward):
    def hidden(self, ids, training_mode):
        hidden = super().hidden(ids, training_mode)
        return hidden + 0.01 * hidden[:, ::-1] if training_mode else hidden


class ReadsTheSum(ToyForward):
    """Every score has a trace of the whole session: small, but not nothing."""

    def hidden(self, ids, training_mode):
        return super().hidden(ids, training_mode) + np.float32(1e-4) * ids.sum(1)[:, None, None]


class SeesPadding(ToyForward):
    def hidden(self, ids, training_mode):
        return super().hidden(ids, training_mode) + np.float32(0.01) * ids.shape[1]


class MeanOfTheBatch(ToyForward):
    """As a batch normalisation would: each row minus the mean of all rows."""

    def hidden(self, ids, training_mode):
        hidden = super().hidden(ids, training_mode)
        return hidden - 0.1 * hidden.mean(axis=0) if training_mode else hidden


class Masked(ToyForward):
    """Masks every third item and asks for it by the sum of all others."""

    both_sides = True

    def training(self, sessions, *, training_mode, at=None, width=None, seed=0):
        ids = pad(sessions, np.arange(len(sessions)), width)
        masked = (np.arange(ids.shape[1]) % 3 == seed % 3) & (ids > 0)
        session, place = np.nonzero(masked)
        seen = np.where(self.visible(masked), ids, 0).sum(axis=1)
        scores = self.table[seen[session] % len(self.table)]
        return Asked(session, place, ids[session, place] - 1, scores)

    def visible(self, masked):
        return ~masked


class MaskForgotten(Masked):
    def visible(self, masked):
        return np.ones_like(masked)
