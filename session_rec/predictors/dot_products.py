"""Scores of many vectors against one table, the same bits in any company.

numpy cannot promise that: OpenBLAS takes other row kernels, with other last bits, by the number of
rows, by a row's place among them and by the number of threads (measured on AVX2: rows 0-11 and
12-15 of one product of 16 differ). onnxruntime's kernels add up each number in the same order
whatever the batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.onnx_session import onnx_session

#: A table of at most this many bytes is handed to onnxruntime, which keeps a packed copy: a small
#: batch is scored in 0.3 to 0.5 of the time, one of 64 in 0.8 to 0.95. A larger one is read where
#: it lies, so that processes that map the same file share it and loading copies nothing.
PACKED_BYTES = 64 * 2**20


class DotProducts:
    """``vectors @ (table / divisors[:, None]).T`` for a fixed ``table``, float32 [N, d].

    Args:
        divisors: float32 [N], not 0; None for all ones.

    >>> score = DotProducts(np.array([[1, 0], [0, 2], [3, 4]], np.float32))
    >>> score(np.array([[1, 1]], np.float32))
    array([[1., 2., 7.]], dtype=float32)
    """

    def __init__(
        self, table: NDArray[np.float32], divisors: NDArray[np.float32] | None = None
    ) -> None:
        self._inputs: dict[str, NDArray[np.float32]] = {}
        self._divisors = divisors
        if table.nbytes <= PACKED_BYTES:
            packed = table if divisors is None else table / divisors[:, None]
            self._divisors = None
            model = _gemm_model(table.shape[1], packed)
        else:
            self._inputs = {"table": table}
            model = _gemm_model(table.shape[1])
        self._session = onnx_session(model, "the item table")

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [B, N] for ``vectors`` float32 [B, d]; no row depends on the others."""
        # A single row may take a matrix-vector kernel of its own: it never travels alone.
        batch = np.repeat(vectors, 2, axis=0) if len(vectors) == 1 else vectors
        scores: NDArray[np.float32] = self._session.run(None, {"a": batch, **self._inputs})[0]
        if self._divisors is not None:
            scores /= self._divisors
        return scores[: len(vectors)]


def vector_lengths(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [N]: the lengths of the rows, some at a time: a mapped table may exceed memory.

    >>> vector_lengths(np.array([[3, 4], [0, 2]], np.float32)).tolist()
    [5.0, 2.0]
    """
    norms = np.empty(len(table), np.float32)
    for start in range(0, len(table), 1 << 14):
        part = slice(start, start + (1 << 14))
        norms[part] = np.linalg.norm(table[part], axis=1)
    return norms


def _gemm_model(d: int, table: NDArray[np.float32] | None = None) -> bytes:
    """The ONNX model ``scores = a @ table.T``, encoded by hand: the onnx package is a training
    dependency. Field numbers are those of onnx.proto (IR version 8, opset 17). Without ``table``
    the model takes it as an input."""
    transposed = _text(1, "transB") + _number(3, 1) + _number(20, 2)
    node = (_text(1, "a") + _text(1, "table") + _text(2, "scores") + _text(4, "Gemm")) + _bytes(
        5, transposed
    )
    graph = _bytes(1, node) + _text(2, "dot_products")
    if table is not None:
        tensor = _number(1, len(table)) + _number(1, d) + _number(2, 1) + _text(8, "table")
        tensor += _bytes(9, np.ascontiguousarray(table, "<f4").tobytes())
        graph += _bytes(5, tensor)
    graph += _bytes(11, _matrix("a", "batch", d))
    if table is None:
        graph += _bytes(11, _matrix("table", "items", d))
    graph += _bytes(12, _matrix("scores", "batch", "items"))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 17))


def _matrix(name: str, *sizes: str | int) -> bytes:
    """A ValueInfoProto: float32 [sizes], each a number or a name."""
    dimensions = (_number(1, n) if isinstance(n, int) else _text(2, n) for n in sizes)
    shape = b"".join(_bytes(1, dimension) for dimension in dimensions)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, shape)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
