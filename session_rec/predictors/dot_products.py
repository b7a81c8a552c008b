"""Scores of many vectors against one table, the same bits in any company.

numpy cannot promise that: OpenBLAS takes other row kernels, with other last bits, by the number of
rows, by a row's place among them and by the number of threads (measured on AVX2: rows 0-11 and
12-15 of one product of 16 differ). onnxruntime's kernels add up each number in the same order
whatever the batch, and hold the table packed, which is faster too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from session_rec.predictors.onnx_session import onnx_session

#: Numbers of the table per onnxruntime session; a protobuf message ends at 2 GB.
_MAX_NUMBERS = 1 << 28


class DotProducts:
    """``vectors @ table.T`` for a fixed ``table``, float32 [N, d]."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        rows = max(1, _MAX_NUMBERS // table.shape[1])
        self._sessions = [
            onnx_session(_gemm_model(table[start : start + rows]), "the item table")
            for start in range(0, len(table), rows)
        ]

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [B, N] for ``vectors`` float32 [B, d]; no row depends on the others."""
        # A single row may take a matrix-vector kernel of its own: it never travels alone.
        batch = np.repeat(vectors, 2, axis=0) if len(vectors) == 1 else vectors
        parts = [session.run(None, {"a": batch})[0] for session in self._sessions]
        scores = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        result: NDArray[np.float32] = scores[: len(vectors)]
        return result


def _gemm_model(table: NDArray[np.float32]) -> bytes:
    """The ONNX model ``scores = a @ table.T``, encoded by hand: the onnx package is a training
    dependency. Field numbers are those of onnx.proto (IR version 8, opset 17)."""
    n, d = table.shape
    transposed = _text(1, "transB") + _number(3, 1) + _number(20, 2)
    node = (_text(1, "a") + _text(1, "table") + _text(2, "scores") + _text(4, "Gemm")) + _bytes(
        5, transposed
    )
    tensor = _number(1, n) + _number(1, d) + _number(2, 1) + _text(8, "table")
    tensor += _bytes(9, np.ascontiguousarray(table, "<f4").tobytes())
    graph = _bytes(1, node) + _text(2, "dot_products") + _bytes(5, tensor)
    graph += _bytes(11, _matrix("a", d)) + _bytes(12, _matrix("scores", n))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 17))


def _matrix(name: str, columns: int) -> bytes:
    """A ValueInfoProto: float32 [batch, columns]."""
    shape = _bytes(1, _text(2, "batch")) + _bytes(1, _number(1, columns))
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
