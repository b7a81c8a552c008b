"""How the columns of outcomes are made from a log and its questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from session_rec.event_log import Questions, SessionLog


def codes_by_appearance(
    values: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct values >= 0 by first appearance, int64 [M], and every value's place among them,
    int64 of the same shape; a negative value keeps -1.

    >>> distinct, codes = codes_by_appearance(np.array([7, 3, -1, 7]))
    >>> distinct.tolist(), codes.tolist()
    ([7, 3], [0, 1, -1, 0])
    """
    flat = values.ravel()
    given = np.flatnonzero(flat >= 0)
    distinct, first, place = np.unique(flat[given], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(distinct), np.int64)
    number[order] = np.arange(len(distinct))
    codes = np.full(len(flat), -1, np.int64)
    codes[given] = number[place]
    return distinct[order].astype(np.int64), codes.reshape(values.shape)


def objects(values: Sequence[str | None]) -> NDArray[np.object_]:
    """object [n]: ``values``, for fancy indexing.

    >>> objects(["pear", None])[np.array([1, 0, 0])]
    array([None, 'pear', 'pear'], dtype=object)
    """
    array = np.empty(len(values), object)
    array[:] = values
    return array


def masked(values: NDArray[Any], missing: int) -> NDArray[Any]:
    """``values``, masked where they are ``missing``.

    >>> masked(np.array([3, -1, 1]), missing=-1).tolist()
    [3, None, 1]
    """
    array: NDArray[Any] = np.ma.masked_array(values, values == missing)  # type: ignore[no-untyped-call]
    return array


def target_repeated(log: SessionLog, questions: Questions) -> NDArray[np.bool_]:
    """bool [Q]: the answer's item, known or not, stands in the context.

    >>> from session_rec.toy import toy_log, toy_recommender
    >>> log, model = toy_log("pear plum pear"), toy_recommender("pear plum")
    >>> target_repeated(log, log.questions(model.catalog, model.rules))
    array([False,  True])
    """
    answer = questions.position + 1
    order = np.lexsort((np.arange(len(log)), log.item, log.session))
    same = (np.diff(log.item[order]) == 0) & (np.diff(log.session[order]) == 0)
    before = np.full(len(log), -1, np.int64)
    before[order[1:][same]] = order[:-1][same]
    repeated: NDArray[np.bool_] = before[answer] >= questions.starts
    return repeated


def mean_popularity(
    slates: NDArray[np.int32], popularity: NDArray[np.int64], n: int
) -> NDArray[np.float32]:
    """float32 [Q]: by the definition of ``Evaluation.shown_popularity``, slate by slate.

    >>> slates = np.array([[0, 1, -1], [2, 3, -1]], np.int32)
    >>> mean_popularity(slates, popularity=np.array([1, 2, 3, 4]), n=4)
    array([0.125, 0.625], dtype=float32)
    """
    shown = slates >= 0
    total = np.where(shown, popularity[slates] - 1, 0).sum(axis=1)
    mean: NDArray[np.float64] = total / np.maximum(shown.sum(axis=1), 1) / n
    return mean.astype(np.float32)
