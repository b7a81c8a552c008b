"""What a recommender answers: one ranked slate per context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import Catalog

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Slates:
    """B ranked slates of length k.

    Attributes:
        catalog: what the rows mean.
        rows: int32 [B, k], best first; -1 where the policy left fewer than k items.
        scores: float32 [B, k], parallel to ``rows``; -inf where the row is -1.
        known: int64 [B], how many events of each context were of known items.
        fallback: bool [B], true where no item was known and the popular slate is shown.

    >>> catalog = Catalog(("pear", "plum", "fig"), np.array([3, 2, 1]))
    >>> rows, scores = np.array([[2, 0], [1, -1]]), np.array([[9, 4], [5, -np.inf]])
    >>> slates = Slates(catalog, rows, scores, np.array([1, 1]), np.array([False, False]))
    >>> slates.items(0), slates.items(1)
    (['fig', 'pear'], ['plum'])
    >>> slates.item_ids
    array([['fig', 'pear'],
           ['plum', None]], dtype=object)
    """

    catalog: Catalog
    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    known: NDArray[np.int64]
    fallback: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def item_ids(self) -> NDArray[np.object_]:
        """object [B, k]: item ids as strings, None where the row is -1."""
        ids = self.catalog.ids_array[self.rows]
        ids[self.rows < 0] = None
        return ids

    def items(self, b: int) -> list[str]:
        """The item ids of slate ``b``, best first."""
        ids = self.catalog.item_ids
        return [ids[r] for r in self.rows[b].tolist() if r >= 0]

    def to_frame(self) -> pd.DataFrame:
        """A row per shown item: ``context``, ``rank`` (from 1), ``item_id``, ``score``,
        ``fallback``. Needs pandas, which is not part of the base install.
        """
        import pandas as pd

        b, k = self.rows.shape
        shown = (self.rows >= 0).ravel()
        return pd.DataFrame(
            {
                "context": np.repeat(np.arange(b), k)[shown],
                "rank": np.tile(np.arange(1, k + 1), b)[shown],
                "item_id": self.item_ids.ravel()[shown],
                "score": self.scores.ravel()[shown],
                "fallback": np.repeat(self.fallback, k)[shown],
            }
        )
