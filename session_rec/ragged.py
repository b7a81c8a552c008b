"""Sequences of unlike lengths in flat arrays: the shape of sessions and contexts everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ragged:
    """S sequences, laid end to end.

    Attributes:
        rows: int32 [T], catalog rows, newest last within a sequence.
        offsets: int64 [S + 1]; sequence ``s`` is ``rows[offsets[s]:offsets[s + 1]]``.
        ts: int64 [T], event time in milliseconds, parallel to ``rows``.
        types: int8 [T], event type codes (:data:`session_rec.events.EVENT_TYPES`).

    >>> sessions = Ragged.from_lists([[4, 7, 7], [], [2]])
    >>> len(sessions), sessions.lengths, sessions.sequence(0)
    (3, array([3, 0, 1]), array([4, 7, 7], dtype=int32))
    """

    rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ts: NDArray[np.int64]
    types: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [S]: the number of entries of each sequence."""
        return np.diff(self.offsets)

    def sequence(self, s: int) -> NDArray[np.int32]:
        """int32 [len]: the rows of sequence ``s`` (a view)."""
        return self.rows[self.offsets[s] : self.offsets[s + 1]]

    def take(self, which: NDArray[np.int64]) -> Ragged:
        """The sequences ``which`` (int64 [M]), in that order, as a new ragged array.

        >>> Ragged.from_lists([[4, 7], [2]]).take(np.array([1, 0])).rows
        array([2, 4, 7], dtype=int32)
        """
        lengths = self.lengths[which]
        offsets = np.zeros(len(which) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        flat = np.repeat(self.offsets[which] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self.rows[flat], offsets, self.ts[flat], self.types[flat])

    def newest(self, max_length: int) -> Ragged:
        """Every sequence cut to its newest ``max_length`` entries.

        >>> Ragged.from_lists([[4, 7, 1], [2]]).newest(2).rows
        array([7, 1, 2], dtype=int32)
        """
        return self.window(
            np.maximum(self.offsets[:-1], self.offsets[1:] - max_length), self.offsets[1:]
        )

    def window(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Ragged:
        """New sequences ``rows[starts[i]:ends[i]]``; windows may overlap.

        >>> Ragged.from_lists([[4, 7, 1]]).window(np.array([0, 0]), np.array([1, 2])).rows
        array([4, 4, 7], dtype=int32)
        """
        lengths = ends - starts
        offsets = np.zeros(len(starts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        flat = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self.rows[flat], offsets, self.ts[flat], self.types[flat])

    def keep(self, mask: NDArray[np.bool_]) -> Ragged:
        """The same sequences without the entries where ``mask`` (bool [T]) is false.

        >>> contexts = Ragged.from_lists([[4, -1], [-1]])
        >>> contexts.keep(contexts.rows >= 0).lengths
        array([1, 0])
        """
        kept = np.zeros(len(mask) + 1, np.int64)
        np.cumsum(mask, out=kept[1:])
        return Ragged(self.rows[mask], kept[self.offsets], self.ts[mask], self.types[mask])

    @classmethod
    def from_lists(cls, sequences: list[list[int]]) -> Ragged:
        """Sequences of catalog rows without clock or types (``ts`` counts positions).

        >>> Ragged.from_lists([[4, 7], [2]]).ts
        array([0, 1, 0])
        """
        lengths = np.array([len(s) for s in sequences], np.int64)
        offsets = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        rows = np.array([r for s in sequences for r in s], np.int32)
        ts = np.arange(offsets[-1], dtype=np.int64) - np.repeat(offsets[:-1], lengths)
        return cls(rows, offsets, ts, np.zeros(len(rows), np.int8))
