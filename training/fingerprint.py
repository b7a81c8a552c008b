"""What a training was of, in one number: whether something that was kept belongs to it."""

from __future__ import annotations

import hashlib

import numpy as np

from session_rec.ragged import Ragged


def fingerprint_of(settings: str, *sessions: Ragged, more: str = "") -> str:
    """sha256 (hex) of the settings, the sessions' items and times, and what else decides.

    >>> a, b = Ragged.from_lists([[1, 2]]), Ragged.from_lists([[1], [2]])
    >>> fingerprint_of("epochs 1", a) == fingerprint_of("epochs 1", b)
    False
    """
    digest = hashlib.sha256(settings.encode())
    for each in sessions:
        for array in (each.rows, each.offsets, each.ts):
            digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(more.encode())
    return digest.hexdigest()
