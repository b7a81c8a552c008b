"""Sessions as right-padded id batches, drawn in a seeded order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged

#: Batches per chunk within which sessions are sorted by length. Large enough to leave little
#: padding, small enough that a batch's company changes from epoch to epoch.
_CHUNK = 50


def training_sessions(sessions: Ragged, max_length: int) -> tuple[Ragged, NDArray[np.int64]]:
    """Sessions that can teach, cut to their newest ``max_length`` inputs and the last target.

    Returns them with int64 indices into ``sessions``; those of one item are left out.
    """
    kept = np.flatnonzero(sessions.lengths >= 2)
    return sessions.take(kept).newest(max_length + 1), kept


def epoch_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Session indices of each batch of one epoch: every session once, alike in length.

    The same (seed, epoch) gives the same batches, so a resumed run needs no random state.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), batch_size * _CHUNK):
        chunk = order[start : start + batch_size * _CHUNK]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    # T4R's mlm masking squeezes a batch of one session away.
    if len(batches) > 1 and len(batches[-1]) == 1:
        left_over = batches.pop()
        batches[-1] = np.concatenate([batches[-1], left_over])
    return [batches[i] for i in rng.permutation(len(batches))]


def pad(sessions: Ragged, which: NDArray[np.int64], width: int | None = None) -> NDArray[np.int64]:
    """Item ids int64 [len(which), width], catalog row + 1, right-padded with 0.

    ``width`` defaults to the longest of them.
    """
    starts = sessions.offsets[which]
    lengths = sessions.offsets[which + 1] - starts
    columns = np.arange(int(lengths.max()) if width is None else width)
    filled = columns < lengths[:, None]
    positions = np.where(filled, starts[:, None] + columns, 0)
    return np.where(filled, sessions.rows[positions].astype(np.int64) + 1, 0)


def prefixes(sessions: Ragged, max_length: int) -> tuple[Ragged, NDArray[np.int64]]:
    """Every question the sessions ask: contexts of the newest ``max_length`` items before each
    position p >= 1, and the catalog rows that followed, int64 [P]."""
    starts = np.repeat(sessions.offsets[:-1], sessions.lengths)
    positions = np.arange(len(sessions.rows), dtype=np.int64)
    asked = positions > starts
    ends = positions[asked]
    contexts = sessions.window(np.maximum(starts[asked], ends - max_length), ends)
    return contexts, sessions.rows[ends].astype(np.int64)
