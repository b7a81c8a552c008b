"""The item2vec job: gensim's Word2Vec over sessions written as lines of text."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console
from rich.progress import Progress

from session_rec.config import Config
from session_rec.errors import DataError
from session_rec.predictors.item2vec import ContextVectorConfig, Item2Vec
from session_rec.ragged import Ragged
from training.warm_start import TrainingWeights, WarmStart

#: gensim cuts longer lines by itself, at another place for another number of workers.
_MAX_LINE = 10_000


class Item2VecConfig(Config):
    """Settings of Word2Vec, and of how contexts are scored. Best settings are far from those for
    text: many epochs and a high learning rate."""

    algorithm: Literal["skip-gram", "cbow"] = "skip-gram"
    """skip-gram predicts the neighbours of a click, cbow a click from its neighbours."""
    vector_size: int = Field(default=128, ge=1)
    """Numbers per vector."""
    window: int = Field(default=5, ge=1)
    """Clicks to each side that are neighbours, at most."""
    shrink_window: bool = True
    """Draw each window's size from 1 to ``window``: near neighbours count more."""
    epochs: int = Field(default=60, ge=1)
    """Passes over the sessions."""
    negative: int = Field(default=10, ge=1)
    """Negative samples per pair."""
    ns_exponent: float = Field(default=0.5, ge=-2, le=2)
    """Negatives are drawn in proportion to popularity to this power."""
    sample: float = Field(default=0.0, ge=0, le=1)
    """Clicks of items with a larger share than this are thinned out; 0: none."""
    alpha: float = Field(default=0.075, gt=0)
    """Learning rate at the start; it falls to ``min_alpha`` linearly."""
    min_alpha: float = Field(default=1e-4, ge=0)
    """Learning rate at the end."""

    score_with: Literal["output", "input", "both"] = "output"
    """Vectors that candidates are scored with. output: how well an item follows the context, as
    trained; input: how alike it is to the context's items; both: the sum of the two directions
    in which a pair is trained."""
    normalise_context: bool = True
    """Context items count with vectors of length 1."""
    normalise_items: bool = False
    """Candidates count with vectors of length 1: with ``input``, scores are cosines."""
    newest_n: int = Field(default=10, ge=1)
    """Newest clicks of a context that are averaged."""
    decay: float = Field(default=0.6, gt=0, le=1)
    """Each click weighs this times the click after it."""

    seed: int = Field(default=1, ge=0)
    """Same seed, data and one worker: the same vectors to the bit."""
    workers: int = Field(default=1, ge=1)
    """Threads. More than one is faster and not reproducible, which the bundle then says."""


@dataclass(frozen=True)
class Vectors:
    """What gensim trains, by catalog row.

    Attributes:
        inputs, outputs: float32 [N, d] each; zeros for items that training never saw.
        count: int64 [N], events of each item in all trainings so far.
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    count: NDArray[np.int64]

    def training_weights(self) -> TrainingWeights:
        """The vectors by name, for a warm start."""
        return {"inputs": self.inputs, "outputs": self.outputs, "count": self.count}


def fit(
    train: Ragged, n_items: int, config: Item2VecConfig, *, progress: Console | None = None
) -> tuple[Item2Vec, dict[str, Any]]:
    """Trains vectors on sessions of catalog rows.

    Returns the predictor and a record of the training: ``deterministic``, ``events`` and
    ``seconds`` over all epochs.

    Raises:
        DataError: no session has two events, so nothing is anybody's neighbour.
    """
    predictor, record, _ = fit_vectors(train, n_items, config, progress=progress)
    return predictor, record


def fit_vectors(
    train: Ragged,
    n_items: int,
    config: Item2VecConfig,
    *,
    progress: Console | None = None,
    start: WarmStart | None = None,
) -> tuple[Item2Vec, dict[str, Any], Vectors]:
    """As :func:`fit`, with the vectors themselves; they begin at those of ``start``, if given.

    Going on from earlier vectors is gensim's own update: new items join the vocabulary with
    random vectors, counts (of which negatives are drawn) go on from the earlier ones, and
    training runs over ``train`` alone.

    Raises:
        DataError: as :func:`fit`.
        UserError: ``start`` has vectors of another size.
    """
    if train.lengths.max(initial=0) < 2:
        raise DataError("no session has two events: item2vec has nothing to learn from")
    begin = perf_counter()
    earlier = None if start is None else _earlier(start, config)
    vectors = _train(train, n_items, config, earlier, progress)
    seconds = perf_counter() - begin
    context_vectors, item_vectors = _tables(vectors.inputs, vectors.outputs, config)
    predictor = Item2Vec.from_vectors(
        context_vectors,
        item_vectors,
        vectors.count,
        ContextVectorConfig(newest_n=config.newest_n, decay=config.decay),
    )
    record = {
        "deterministic": config.workers == 1,
        "events": len(train.rows) * config.epochs,
        "seconds": seconds,
    }
    return predictor, record, vectors


def _earlier(start: WarmStart, config: Item2VecConfig) -> Vectors:
    """The earlier vectors by the rows of the new catalog."""
    n = len(start.rows)
    zeros = np.zeros((n, config.vector_size), np.float32)
    return Vectors(
        start.grown("inputs", zeros),
        start.grown("outputs", zeros),
        start.grown("count", np.zeros(n, np.int64)),
    )


def _train(
    train: Ragged,
    n_items: int,
    config: Item2VecConfig,
    earlier: Vectors | None,
    console: Console | None,
) -> Vectors:
    with (
        tempfile.TemporaryDirectory(prefix="item2vec.") as scratch,
        Progress(console=console, disable=console is None) as progress,
    ):
        corpus = Path(scratch) / "sessions.txt"
        _write_corpus(train, corpus)
        model = _model(config)
        if earlier is not None:
            _restore(model, earlier)
        model.build_vocab(corpus_file=str(corpus), update=earlier is not None)
        model.train(
            corpus_file=str(corpus),
            total_examples=model.corpus_count,
            total_words=model.corpus_total_words,
            epochs=config.epochs,
            callbacks=[_report(progress, config.epochs)],
        )
    rows = _rows(model)
    inputs = np.zeros((n_items, config.vector_size), np.float32)
    outputs = np.zeros_like(inputs)
    inputs[rows], outputs[rows] = model.wv.vectors, model.syn1neg
    count = np.bincount(train.rows, minlength=n_items)
    return Vectors(inputs, outputs, count if earlier is None else count + earlier.count)


def _model(config: Item2VecConfig) -> Any:
    """A gensim model without vocabulary."""
    from gensim.models import Word2Vec

    return Word2Vec(
        vector_size=config.vector_size,
        window=config.window,
        shrink_windows=config.shrink_window,
        epochs=config.epochs,
        negative=config.negative,
        ns_exponent=config.ns_exponent,
        sample=config.sample,
        alpha=config.alpha,
        min_alpha=min(config.min_alpha, config.alpha),
        sg=int(config.algorithm == "skip-gram"),
        min_count=1,
        seed=config.seed,
        # gensim 4 starts vectors from a numpy generator; the default, Python's own hash, would
        # tie anything that still uses it to PYTHONHASHSEED.
        hashfxn=_row_of,
        workers=config.workers,
    )


def _restore(model: Any, earlier: Vectors) -> None:
    """Gives an empty gensim model the earlier vocabulary with its vectors. gensim's own files
    are pickled; these are not."""
    seen = np.flatnonzero(earlier.count).tolist()
    model.build_vocab_from_freq({str(row): int(earlier.count[row]) for row in seen})
    rows = _rows(model)
    model.wv.vectors[:] = earlier.inputs[rows]
    model.syn1neg[:] = earlier.outputs[rows]


def _rows(model: Any) -> NDArray[np.int64]:
    """int64 [V]: the catalog row of each word of the vocabulary, in gensim's order."""
    return np.array([int(word) for word in model.wv.index_to_key], np.int64)


def _write_corpus(train: Ragged, path: Path) -> None:
    with path.open("w", encoding="ascii") as f:
        for s in range(len(train)):
            words = train.sequence(s).astype(str).tolist()
            for start in range(0, len(words), _MAX_LINE):
                f.write(" ".join(words[start : start + _MAX_LINE]) + "\n")


def _row_of(word: str) -> int:
    return int(word)


def _report(progress: Progress, epochs: int) -> Any:
    from gensim.models.callbacks import CallbackAny2Vec

    class Report(CallbackAny2Vec):  # type: ignore[misc]
        """Moves the bar by one after each epoch."""

        def __init__(self) -> None:
            self.task = progress.add_task("item2vec, epochs", total=epochs)

        def on_epoch_end(self, model: Any) -> None:
            progress.advance(self.task)

    return Report()


def _tables(
    inputs: NDArray[np.float32], outputs: NDArray[np.float32], config: Item2VecConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What an item is worth in a context, and as a candidate."""
    if config.score_with == "output":
        context, item = inputs, outputs
    elif config.score_with == "input":
        context, item = inputs, inputs
    else:
        context = np.concatenate([inputs, outputs], axis=1)
        item = np.concatenate([outputs, inputs], axis=1)
    if config.normalise_context:
        context = _unit_rows(context)
    if config.normalise_items:
        item = _unit_rows(item)
    return context, item


def _unit_rows(table: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    result: NDArray[np.float32] = table / np.maximum(norms, np.float32(1e-12))
    return result
