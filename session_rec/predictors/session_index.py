"""Training sessions, findable by item: what the nearest-neighbour model searches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from session_rec.ragged import Ragged
from session_rec.recency import recency_weights


class SessionIndex(NamedTuple):
    """S sessions of N items, oldest first.

    Attributes:
        item_offsets: int64 [N + 1]; the sessions of item i are
            ``sessions[item_offsets[i]:item_offsets[i + 1]]``.
        sessions: int32 [P], session numbers, distinct for each item.
        places: int32 [P], the item's last place in each of those sessions.
        offsets: int64 [S + 1]; the items of session s are ``rows[offsets[s]:offsets[s + 1]]``.
        rows: int32 [T], catalog rows, oldest click first.
        recency: float32 [S], in (0, 1].
        idf: float32 [N], log(1 + sessions / sessions with the item), over all training sessions.

    >>> index = build_index(Ragged.from_lists([[0, 1], [1, 2, 1]]), 3, 200, half_life_days=0)
    >>> of_item_1 = slice(index.item_offsets[1], index.item_offsets[2])
    >>> index.sessions[of_item_1], index.places[of_item_1]
    (array([0, 1], dtype=int32), array([1, 2], dtype=int32))
    """

    item_offsets: NDArray[np.int64]
    sessions: NDArray[np.int32]
    places: NDArray[np.int32]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    recency: NDArray[np.float32]
    idf: NDArray[np.float32]


def build_index(
    sessions: Ragged,
    n_items: int,
    sessions_per_item: int,
    half_life_days: float = 0.0,
    half_life_sessions: float = 0.0,
) -> SessionIndex:
    """Keeps the newest ``sessions_per_item`` sessions of each item, by their last ``ts``.

    Args:
        half_life_days, half_life_sessions: as :func:`session_rec.recency.recency_weights`.

    >>> two = Ragged.from_lists([[0, 1], [0, 2, 1]])
    >>> build_index(two, 3, sessions_per_item=1).sessions  # of items 0, 1, 2
    array([0, 0, 0], dtype=int32)
    """
    sessions = sessions.take(np.flatnonzero(sessions.lengths))
    ended = sessions.ts[sessions.offsets[1:] - 1]
    order = np.argsort(ended, kind="stable")
    sessions = sessions.take(order)

    item, session, place = _last_places(sessions)
    sessions_of = np.bincount(item, minlength=n_items)
    newer = np.cumsum(sessions_of)[item] - 1 - np.arange(len(item))
    kept = newer < sessions_per_item
    item, session, place = item[kept], session[kept], place[kept]

    # Sessions that no item leads to any more are left out of the bundle.
    used, session = np.unique(session, return_inverse=True)
    rest = sessions.take(used)
    recency = recency_weights(sessions, half_life_days, half_life_sessions)[used]
    return SessionIndex(
        np.concatenate(([0], np.cumsum(np.bincount(item, minlength=n_items)))).astype(np.int64),
        session.astype(np.int32),
        place.astype(np.int32),
        rest.offsets,
        rest.rows,
        recency.astype(np.float32),
        np.log1p(len(sessions) / np.maximum(sessions_of, 1)).astype(np.float32),
    )


def _last_places(
    sessions: Ragged,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Item, session and last place of each distinct pair, by item, then session ascending."""
    session = np.repeat(np.arange(len(sessions)), sessions.lengths)
    place = np.arange(len(sessions.rows)) - np.repeat(sessions.offsets[:-1], sessions.lengths)
    order = np.lexsort((place, session, sessions.rows))
    item, session, place = sessions.rows[order], session[order], place[order]
    last = np.ones(len(item), bool)
    last[:-1] = (item[1:] != item[:-1]) | (session[1:] != session[:-1])
    return item[last], session[last], place[last]
