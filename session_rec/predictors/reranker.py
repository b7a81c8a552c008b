"""A small scoring network over features: a linear path beside one layer of tanh units."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.base import Arrays
from session_rec.predictors.dot_products import DotProducts


@dataclass(frozen=True)
class Reranker:
    """``x -> w . z + v . tanh(z A + a)`` with ``z = (x - mean) / scale``.

    Attributes:
        mean, scale: float32 [F].
        linear: float32 [F], w.
        hidden: float32 [F, H], A.
        bias: float32 [H], a.
        output: float32 [H], v.

    >>> zero = np.zeros(1, np.float32)
    >>> net = Reranker(zero, zero + 1, zero + 2, np.ones((1, 1), np.float32), zero, zero + 1)
    >>> net(np.array([[0.0], [10.0]], np.float32)).tolist()
    [0.0, 21.0]
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    linear: NDArray[np.float32]
    hidden: NDArray[np.float32]
    bias: NDArray[np.float32]
    output: NDArray[np.float32]

    def __post_init__(self) -> None:
        # All that is linear in z is one product.
        table = np.concatenate([self.hidden.T, self.linear[None]])
        object.__setattr__(self, "_products", DotProducts(np.ascontiguousarray(table)))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [C]: the score of each candidate, from its features float32 [C, F]; the same
        bits in any company."""
        products: DotProducts = self.__dict__["_products"]
        linear = products((features - self.mean) / self.scale)
        units = np.tanh(linear[:, :-1] + self.bias)
        score: NDArray[np.float32] = linear[:, -1] + (units * self.output).sum(axis=1)
        return score

    def arrays(self) -> Arrays:
        """The weights by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
