"""What may be shown: the filter that acts inside retrieval, so that a slate is never short."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import UNKNOWN, Catalog
from session_rec.ragged import Ragged


@dataclass(frozen=True)
class Policy:
    """Which items a slate may hold. The default shows everything.

    Attributes:
        exclude_seen: leave out the items of the context. A setting of the shop, never a constant:
            20 to 35 % of the next clicks in shops go to an item of the session.
        blocked_items: ids of items never shown (sold out, embargoed).

    >>> catalog = Catalog(("pear", "plum", "fig"), np.array([3, 2, 1]))
    >>> policy = Policy(exclude_seen=True, blocked_items=frozenset({"fig"}))
    >>> policy.blocked(catalog, Ragged.from_lists([[0], [1]]))
    array([[ True, False,  True],
           [False,  True,  True]])
    """

    exclude_seen: bool = False
    blocked_items: frozenset[str] = frozenset()

    def blocked(self, catalog: Catalog, contexts: Ragged) -> NDArray[np.bool_] | None:
        """bool [N] or [B, N], true where an item may not be shown; None if all may."""
        if not self.exclude_seen and not self.blocked_items:
            return None
        fixed = _mask(catalog, self.blocked_items)
        if not self.exclude_seen:
            return fixed
        mask = np.tile(fixed, (len(contexts), 1))
        mask[np.repeat(np.arange(len(contexts)), contexts.lengths), contexts.rows] = True
        return mask


SHOW_ALL = Policy()  #: nothing is left out


def _mask(catalog: Catalog, item_ids: Iterable[str]) -> NDArray[np.bool_]:
    mask = np.zeros(len(catalog), bool)
    rows = catalog.rows(item_ids)
    mask[rows[rows != UNKNOWN]] = True
    return mask
