"""Weights of a model directory, read in place: safetensors files as memory maps.

The pages of a mapped file are shared by every process that maps it and are read when first used,
so several daemons on a machine hold the item table once, and loading it copies nothing. The file
must not be written over while it is mapped; :func:`session_rec.bundle.save_bundle` never does,
it renames.

Format: https://huggingface.co/docs/safetensors: 8 bytes, the length of the header; the header,
JSON with ``dtype``, ``shape`` and ``data_offsets`` of each tensor; the tensors, little-endian.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from session_rec.errors import BundleError

#: The numbers that our models are made of, by their name in the header.
_DTYPES = {
    "BOOL": "?",
    "I8": "<i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "<u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def map_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file by name, read-only views on a memory map of it.

    Raises:
        BundleError: it is no safetensors file, or holds numbers of a kind that numpy lacks.

    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> save_file({"count": np.array([2, 1])}, path)
    >>> map_weights(path)["count"]
    array([2, 1])
    >>> map_weights(path)["count"].flags.writeable
    False
    """
    try:
        # The library checks the header: sizes, overlaps, gaps, the end of the file.
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as e:
        raise BundleError(f"{path} is not safetensors: {e}") from None
    data = np.memmap(path, np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = msgspec.json.decode(data[8:start].tobytes(), type=dict[str, Any])
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        tensor = msgspec.convert(entry, _Tensor)
        if tensor.dtype not in _DTYPES:
            raise BundleError(f"{path}: {name} is of kind {tensor.dtype}, which numpy lacks")
        first, end = (start + offset for offset in tensor.data_offsets)
        # A plain array on the map: numpy.memmap itself is slow to index.
        view = np.asarray(data[first:end]).view(_DTYPES[tensor.dtype])
        arrays[name] = view.reshape(tensor.shape)
    return arrays
