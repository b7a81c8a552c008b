"""What a model that is trained on goes on from: the weights of an earlier one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.errors import UserError

#: Weights by name, as a training leaves them for the next one; tables have one row per item.
TrainingWeights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class WarmStart:
    """The weights of an earlier model, and where its items stand in the catalog of the new one.

    Attributes:
        weights: what the earlier training left.
        rows: int64 [N], for each row of the new catalog its row in the earlier one, -1 where the
            item is new.

    >>> table = np.array([[1.0], [2.0]], np.float32)
    >>> start = WarmStart({"table": table}, np.array([1, -1, 0]))
    >>> start.grown("table", np.zeros((3, 1), np.float32)).tolist()
    [[2.0], [0.0], [1.0]]
    """

    weights: TrainingWeights
    rows: NDArray[np.int64]

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The weights called ``name``.

        Raises:
            UserError: there are none of this name and shape.
        """
        found = self.weights.get(name)
        if found is None or found.shape != shape:
            raise UserError(
                f"the earlier model has no {name} of shape {shape}: a warm start needs a model "
                "with the same settings; train from scratch"
            )
        return found

    def grown(self, name: str, fresh: NDArray[Any]) -> NDArray[Any]:
        """``fresh`` [N, …] with the earlier rows where an item has one.

        Raises:
            UserError: as :meth:`array`.
        """
        known = self.rows >= 0
        earlier = self.weights.get(name)
        count = 0 if earlier is None else len(earlier)
        earlier = self.array(name, (count, *fresh.shape[1:]))
        out = fresh.copy()
        out[known] = earlier[self.rows[known]]
        return out

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the weights and rows."""
        digest = hashlib.sha256(np.ascontiguousarray(self.rows, np.int64).tobytes())
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]).tobytes())
        return digest.hexdigest()
