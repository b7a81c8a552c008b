"""Which sessions a model learns from when a window has closed."""

from __future__ import annotations

from typing import NamedTuple

from training.rolling.config import RollingModel
from training.rolling.windows import Window


class Span(NamedTuple):
    """Sessions of the log in order of their ends, for one training.

    Attributes:
        first, end: trained on are the sessions ``first`` to ``end - 1``.
        valid_end: the sessions ``end`` to ``valid_end - 1`` stop the training early.
    """

    first: int
    end: int
    valid_end: int


def training_span(
    windows: tuple[Window, ...], newest: int, burn_in: int, model: RollingModel
) -> Span:
    """What ``model`` is trained on once window ``newest`` has closed.

    The first training, after ``burn_in`` windows, and every one that does not start warm, takes
    the history. A warm start takes up where the earlier one ended, so that sessions held out for
    validation are trained on one window later; with a longer history it goes back further.

    >>> from session_rec.config import Config
    >>> windows = tuple(Window("", 10 * w, 10 * w + 10, 0, "", "") for w in range(4))
    >>> cold = RollingModel("m", "popularity", Config(), False, 2, 0.0)
    >>> training_span(windows, 3, 1, cold)
    Span(first=20, end=40, valid_end=40)
    >>> warm = RollingModel("m", "transformer", Config(), True, 1, 0.2)
    >>> training_span(windows, 0, 1, warm), training_span(windows, 1, 1, warm)
    (Span(first=0, end=8, valid_end=10), Span(first=8, end=18, valid_end=20))
    """
    end = _end(windows, newest, model)
    starts_warm = model.warm and newest >= burn_in
    if model.history is None or (model.warm and not starts_warm):
        first = 0
    else:
        before = newest - model.history
        held_out = starts_warm and before >= burn_in - 1
        if before < 0:
            first = 0
        else:
            first = _end(windows, before, model) if held_out else windows[before].end
    return Span(first, end, windows[newest].end)


def _end(windows: tuple[Window, ...], newest: int, model: RollingModel) -> int:
    w = windows[newest]
    return w.end - int((w.end - w.first) * model.validation)
