"""Parts that were trained before: a search over the re-ranker's settings needs them but once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel

from session_rec.ragged import Ragged
from training.fingerprint import fingerprint_of

if TYPE_CHECKING:
    from training.fitters import Fitted


class KnownParts:
    """The newest trained parts, by kind, settings and sessions.

    Args:
        most: parts that are kept in memory: those of four models, for four sizes of two held-out
            slices, and of all sessions, are 36.
    """

    def __init__(self, most: int = 40) -> None:
        self._most = most
        self._parts: dict[str, Fitted] = {}

    def get(
        self,
        kind: str,
        settings: BaseModel,
        train: Ragged,
        valid: Ragged,
        fit: Callable[[], Fitted],
    ) -> Fitted:
        """The part that was trained like this before; otherwise what ``fit()`` gives."""
        key = fingerprint_of(f"{kind} {settings.model_dump_json()}", train, valid)
        part = self._parts.pop(key, None)
        if part is None:
            part = fit()
        self._parts[key] = part
        while len(self._parts) > self._most:
            del self._parts[next(iter(self._parts))]
        return part
