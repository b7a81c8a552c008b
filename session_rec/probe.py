"""Whether a loaded model can serve: it is asked, and what it needs for its first answers is made.

What a predictor makes on first use (scratch memory, mapped pages, an encoder's plans) is there
afterwards, so that a model that was probed answers its first live event as fast as the next ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from session_rec.bundle import load
from session_rec.errors import BundleError, UserError
from session_rec.policy import SHOW_ALL, Policy
from session_rec.recommender import MICRO_BATCH, Recommender

#: Contexts per question; a live service asks one at a time when it is idle, many under load.
BATCH_SIZES = (1, 2, MICRO_BATCH)

_MINUTE_MS = 60_000


def probe(recommender: Recommender, k: int = 20, batch_sizes: Sequence[int] = BATCH_SIZES) -> None:
    """Asks the model for slates of length ``k``, in batches of each of ``batch_sizes`` contexts.

    The contexts are drawn from its catalog, always the same ones: of every length up to what its
    session rules keep, among them one without a known item.

    Raises:
        BundleError: it raises, gives a score that is not finite, or shows nothing at all.

    >>> from session_rec.toy import toy_recommender
    >>> probe(toy_recommender("pear plum", "plum"))
    >>> from session_rec.policy import Policy
    >>> blocked = Policy(blocked_items=frozenset(["pear"]))
    >>> probe(toy_recommender("pear").with_policy(blocked))
    Traceback (most recent call last):
    session_rec.errors.BundleError: the model shows no item for any of 67 contexts: ...
    """
    rng = np.random.default_rng(0)
    ids, inputs = recommender.catalog.item_ids, recommender.predictor.inputs
    if not ids:
        raise BundleError("the model has an empty catalog: train it on sessions with items")
    shown = asked = 0
    for size in batch_sizes:
        lengths = [1 + n % recommender.rules.max_length for n in range(size)]
        contexts = [[ids[row] for row in rng.integers(0, len(ids), n)] for n in lengths]
        if size > 1:
            contexts[-1] = ["\0no such item"]
        ts = [[_MINUTE_MS * place for place in range(len(c))] for c in contexts]
        try:
            slates = recommender.recommend_many(
                recommender.encode(
                    contexts,
                    ts if "ts" in inputs else None,
                    [[0] * len(c) for c in contexts] if "types" in inputs else None,
                ),
                k,
            )
        except UserError as error:
            raise BundleError(str(error)) from error
        except Exception as error:
            raise BundleError(
                f"the model cannot be asked ({type(error).__name__}: {error}): train it again"
            ) from error
        shown += int((slates.rows >= 0).sum())
        asked += size
    if not shown:
        raise BundleError(
            f"the model shows no item for any of {asked} contexts: "
            "look at its catalog and at the blocked items"
        )


def load_probed(
    directory: Path,
    policy: Policy = SHOW_ALL,
    k: int = 20,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> Recommender:
    """The model in ``directory``, verified and probed.

    Raises:
        BundleError: it is not as its manifest says, or does not answer.

    >>> from session_rec.toy import toy_directory
    >>> load_probed(toy_directory("pear plum", "plum")).recommend(["pear"], k=1)
    [('plum', 2.0)]
    """
    recommender = load(directory).with_policy(policy)
    try:
        probe(recommender, k, batch_sizes)
    except BundleError as error:
        raise BundleError(f"{directory}: {error}") from error
    return recommender
