"""Weights as memory maps: what safetensors' own reader copies, in place and read-only."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import load_file, save, save_file

from session_rec.errors import BundleError
from session_rec.weights import map_weights

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays_of.arrays(
        dtype, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    )
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=5), arrays, max_size=5))
def test_a_map_holds_what_a_copy_holds(tmp_path_factory, tables):
    tables.pop("__metadata__", None)
    path = tmp_path_factory.mktemp("w") / "w.safetensors"
    save_file(tables, path)
    mapped, copied = map_weights(path), load_file(path)
    assert mapped.keys() == copied.keys() == tables.keys()
    for name, array in mapped.items():
        assert (array.dtype, array.shape) == (copied[name].dtype, copied[name].shape)
        assert array.tobytes() == copied[name].tobytes() == tables[name].tobytes()
        assert not array.flags.writeable


def test_metadata_is_no_array(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.arange(3)}, path, {"made": "by hand"})
    assert list(map_weights(path)) == ["a"]


def test_numbers_of_a_kind_that_numpy_lacks_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    header = json.dumps({"table": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4))
    with pytest.raises(BundleError, match=r"w\.safetensors: table is of kind BF16"):
        map_weights(path)


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    good = save({"a": np.arange(3), "b": np.arange(4.0)})
    huge = (2**63).to_bytes(8, "little") + good[8:]
    shifted = good.replace(b"[0,24]", b"[8,32]")
    assert shifted != good
    for bad in (b"", b"\x00" * 8, good[:-1], good + b"x", huge, shifted):
        path.write_bytes(bad)
        with pytest.raises(BundleError, match="is not safetensors"):
            map_weights(path)
