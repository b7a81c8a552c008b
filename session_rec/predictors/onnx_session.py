"""How onnxruntime runs here: on one thread, on the CPU, without a warm spin."""

from __future__ import annotations

from typing import Any

import onnxruntime

from session_rec.errors import BundleError


def onnx_session(model: bytes, name: str) -> Any:
    """An ``onnxruntime.InferenceSession`` of ``model``; ``name`` is the file it came from.

    Raises:
        BundleError: onnxruntime cannot load it.

    >>> onnx_session(b"no model", "encoder.onnx")
    Traceback (most recent call last):
    session_rec.errors.BundleError: encoder.onnx cannot be loaded by onnxruntime: ...
    """
    options = onnxruntime.SessionOptions()
    # Several engine processes share a machine: more threads than cores double the latency, and
    # one thread is what makes the same input give the same bits.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # onnxruntime has a dozen exception classes, all private to its binding.
        raise BundleError(f"{name} cannot be loaded by onnxruntime: {error}") from error
