"""The one place where Transformers4Rec is imported, with the patch that its old dask needs.

dask 2023.7.1 (pinned by the Merlin packages) reads the signature of a property getter while
pandas' accessors are registered; from Python 3.11.9 on, ``inspect`` answers that with a
``TypeError`` where dask expects a ``ValueError`` (dask issue 11038), and the import dies.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any


def _patch_dask() -> None:
    import dask.utils

    original = dask.utils.get_named_args
    if getattr(original, "_session_rec_patched", False):
        return

    def get_named_args(func: Any) -> Any:
        try:
            return original(func)
        except TypeError as error:
            raise ValueError(str(error)) from error

    get_named_args._session_rec_patched = True  # type: ignore[attr-defined]
    dask.utils.get_named_args = get_named_args


def import_transformers4rec() -> Any:
    """The module ``transformers4rec.torch``. Costs about 2 s and 400 MB the first time."""
    with warnings.catch_warnings():
        # Merlin warns about missing GPUs, protobuf ages and TensorFlow on every import; none of
        # it concerns a CPU training run.
        warnings.simplefilter("ignore")
        _patch_dask()
        logging.getLogger("transformers4rec").setLevel(logging.ERROR)
        import transformers4rec.torch as tr
    return tr
