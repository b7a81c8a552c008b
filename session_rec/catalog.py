"""The items a model knows: ids <-> rows, names and typed features, and their popularity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.errors import BundleError

UNKNOWN = -1  #: the row of an item that the catalog does not hold


class _CatalogFile(msgspec.Struct):
    item_id: list[str]
    count: list[int]
    features: dict[str, list[str | float | None]] = {}


@dataclass(frozen=True)
class Catalog:
    """N items; the row of an item is its place in ``item_ids``.

    Attributes:
        item_ids: N distinct ids.
        count: int64 [N], training events of each item; 0 for an item that was never clicked.
        features: per feature N values, strings or numbers, None where missing. ``name`` is what
            people are shown.

    >>> catalog = Catalog(("p1", "p2"), np.array([3, 5]), {"name": ["Pear", None]})
    >>> catalog.row("p2"), catalog.row("p9"), catalog.rows(["p2", "p9", "p1"])
    (1, -1, array([ 1, -1,  0], dtype=int32))
    >>> catalog.name(0), catalog.name(1), catalog.by_popularity
    ('Pear', 'p2', array([1, 0], dtype=int32))
    >>> Catalog.from_json(catalog.to_json()).item_ids
    ('p1', 'p2')
    >>> Catalog.from_counts({"b": 2, "a": 7}).item_ids
    ('a', 'b')
    """

    item_ids: tuple[str, ...]
    count: NDArray[np.int64]
    features: Mapping[str, Sequence[str | float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self._row_of) != len(self.item_ids):
            raise ValueError("item ids are not distinct")
        if len(self.count) != len(self.item_ids):
            raise ValueError("one count per item is needed")

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.item_ids)}

    @cached_property
    def ids_array(self) -> NDArray[np.object_]:
        """object [N]: the item ids, for fancy indexing by rows."""
        ids = np.empty(len(self.item_ids), object)
        ids[:] = self.item_ids
        return ids

    @cached_property
    def by_popularity(self) -> NDArray[np.int32]:
        """int32 [N]: rows, most clicked first, then row ascending."""
        order: NDArray[np.int32] = np.lexsort((np.arange(len(self)), -self.count)).astype(np.int32)
        return order

    def row(self, item_id: str) -> int:
        """The row of ``item_id``, or :data:`UNKNOWN`."""
        return self._row_of.get(item_id, UNKNOWN)

    def rows(self, item_ids: Iterable[str]) -> NDArray[np.int32]:
        """int32 [n]: the rows of ``item_ids``, :data:`UNKNOWN` where an item is not known."""
        get = self._row_of.get
        return np.array([get(i, UNKNOWN) for i in item_ids], np.int32)

    def name(self, row: int) -> str:
        """What to show for the item in ``row``: its name, else its id."""
        names = self.features.get("name")
        value = names[row] if names is not None else None
        return str(value) if value is not None else self.item_ids[row]

    def to_json(self) -> bytes:
        """The catalog as UTF-8 JSON, the same bytes for the same catalog."""
        return msgspec.json.encode(
            _CatalogFile(
                list(self.item_ids),
                self.count.tolist(),
                {k: list(v) for k, v in self.features.items()},
            )
        )

    @classmethod
    def from_json(cls, data: bytes) -> Catalog:
        """The catalog in ``data``.

        Raises:
            BundleError: the bytes are not a catalog.
        """
        try:
            f = msgspec.json.decode(data, type=_CatalogFile)
            if any(len(v) != len(f.item_id) for v in f.features.values()):
                raise ValueError("a feature has another number of values than there are items")
            return cls(tuple(f.item_id), np.array(f.count, np.int64), f.features)
        except (msgspec.DecodeError, ValueError) as e:
            raise BundleError(f"not a catalog: {e}; write the model again") from None

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        features: Mapping[str, Mapping[str, str | float | None]] | None = None,
    ) -> Catalog:
        """A catalog of the clicked items, ordered by id, with ``features[name][item_id]``."""
        ids = tuple(sorted(counts))
        return cls(
            ids,
            np.array([counts[i] for i in ids], np.int64),
            {k: [v.get(i) for i in ids] for k, v in (features or {}).items()},
        )
