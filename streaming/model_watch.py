"""Looks at a model store's pointer, on a thread of its own, and has the next model ready."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from session_rec.errors import UserError
from session_rec.model_pointer import Pointer, Release
from session_rec.model_store import ModelStore
from session_rec.recommender import Recommender

log = logging.getLogger(__name__)

#: Seconds after which a thread that waits for the interpreter gets it. At Python's 5 ms the loop
#: that serves would wait that long after every call to the network while a model is loaded.
_SWITCH_S = 0.0002
_turns = threading.Lock()


class Incoming(NamedTuple):
    """A model that was promoted and can serve.

    Attributes:
        recommender: the model, verified and warm.
        release: its name in the store.
        rolled_back: an operator went back to it.
    """

    recommender: Recommender
    release: Release
    rolled_back: bool


class ModelWatch:
    """Follows the pointer of a store.

    Each pointer is tried once: a model that was refused is tried again when it is promoted again.

    Args:
        store: the store.
        load: loads, checks and warms up a model; raises where it cannot serve.
        poll_s: seconds between two looks.
        seen: the pointer that was followed already.
        serving: fingerprint of the model that serves.
        refused: called on the watching thread for each pointer that is not followed.
    """

    def __init__(
        self,
        store: ModelStore,
        load: Callable[[Release], Recommender],
        poll_s: float,
        seen: Pointer | None,
        serving: str,
        refused: Callable[[], None],
    ) -> None:
        self._store = store
        self._load = load
        self._poll_s = poll_s
        self._seen = seen
        self._serving = serving
        self._refused = refused
        self._said = ""
        self._ready: Incoming | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-watch", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends looking; a model that is being loaded is not waited for."""
        self._stopped.set()

    def take(self) -> Incoming | None:
        """The model that shall serve from now on, handed out once; None where nothing changed."""
        if self._ready is None:
            return None
        with self._lock:
            ready, self._ready = self._ready, None
            if ready is None or ready.recommender.fingerprint == self._serving:
                return None  # gone back to meanwhile, what is ready may be what serves
            self._serving = ready.recommender.fingerprint
            return ready

    def went_back_to(self, fingerprint: str) -> None:
        """Tells that the model before serves again, until the pointer changes."""
        with self._lock:
            self._serving = fingerprint

    def look(self) -> None:
        """Looks once; loads what is new."""
        try:
            pointer = self._store.pointer()
        except Exception as error:
            self._tell_once(f"the model that serves goes on: {error}")
            return
        if pointer is None:
            self._tell_once(f"{self._store.directory} points at no model: nothing changes")
            return
        self._said = ""
        if pointer == self._seen:
            return
        self._seen = pointer
        with self._lock:
            if pointer.current.fingerprint == self._serving:
                self._ready = None
                return
        try:
            with _short_turns():
                recommender = self._load(pointer.current)
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            log.error(
                "model %s (%s) is refused, the one that serves goes on: %s%s",
                pointer.current.name,
                pointer.current.fingerprint,
                kind,
                error,
            )
            self._refused()
            return
        with self._lock:
            self._ready = Incoming(recommender, pointer.current, pointer.rolled_back)

    def _run(self) -> None:
        while not self._stopped.wait(self._poll_s):
            self.look()

    def _tell_once(self, what: str) -> None:
        if what != self._said:
            log.error("%s", what)
            self._refused()
        self._said = what


@contextmanager
def _short_turns() -> Iterator[None]:
    """One at a time in a process: the interval is the process's."""
    with _turns:
        before = sys.getswitchinterval()
        sys.setswitchinterval(min(before, _SWITCH_S))
        try:
            yield
        finally:
            sys.setswitchinterval(before)
