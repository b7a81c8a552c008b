"""What became of every question of an evaluation: for comparing models, and for looking closer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from session_rec.catalog import UNKNOWN, Catalog
from session_rec.evaluation.evaluate import Evaluation
from session_rec.evaluation.metrics import NOT_RANKED
from session_rec.evaluation.outcome_columns import (
    codes_by_appearance,
    masked,
    mean_popularity,
    objects,
    target_repeated,
)
from session_rec.evaluation.protocol import Protocol
from session_rec.event_log import SessionLog
from session_rec.recommender import Recommender

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1  #: version of the files; another one is refused


class OutcomesHeader(msgspec.Struct, frozen=True):
    """What a set of outcomes says of itself.

    Attributes:
        format: version of the file.
        model: name of the model, distinct within one evaluation.
        kind: model kind.
        fingerprint: 16 hex digits that name the model's directory.
        protocol: how the questions were asked and ranked.
        figures: :meth:`session_rec.evaluation.evaluate.Evaluation.to_dict` without its protocol.
        content: sha256 (hex) of the rows and of everything above.
    """

    format: int
    model: str
    kind: str
    fingerprint: str
    protocol: Protocol
    figures: dict[str, Any]
    content: str = ""


@dataclass(frozen=True)
class Outcomes:
    """Q questions under one protocol, and what one model answered to each.

    ``Outcomes.of`` makes them, ``save`` and ``Outcomes.read`` keep them in a Parquet file with the
    columns that :meth:`to_pandas` names.

    Attributes:
        header: model, protocol and figures.
        session_ids: ids of the sessions with a question, by first appearance.
        session: int64 [Q], index into ``session_ids``.
        position: int32 [Q], place of the context's newest event among those of its session id,
            from 0.
        ts: int64 [Q], time of that event, milliseconds.
        type_names: the event types that occur.
        type: int16 [Q], of that event, index into ``type_names``.
        context_length: int32 [Q], events in the context, unknown items included.
        unknown_items: int32 [Q], how many of them are of items outside the catalog.
        item_ids: ids of all clicked and shown items, by first appearance.
        item: int32 [Q], the item of the context's newest event, index into ``item_ids``.
        target: int32 [Q], the item that came next, index into ``item_ids``.
        target_known: bool [Q], the catalog holds it.
        target_popularity: int32 [Q], its rank by training clicks, 1 for the most clicked; -1 where
            it is unknown.
        target_repeated: bool [Q], it stands in the context already.
        fallback: bool [Q], no item of the context was known: the popular slate was shown.
        rank: int64 [Q], of the target among all items, ties against it;
            :data:`session_rec.evaluation.metrics.NOT_RANKED` where it is unknown.
        slate: int32 [Q, 20], the items shown, best first, index into ``item_ids``; -1 where fewer
            could be shown.
        slate_popularity: float32 [Q], mean popularity rank of the slate as a fraction of the
            catalog: near 0 only the most clicked items, 0.5 is what chance shows.
        score: float32 [Q], of the first item shown; -inf where none was.
        confidence: float32 [Q], the model's probability of that item
            (:func:`session_rec.evaluation.confidence.first_item_confidence`).

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> columns = toy_outcomes(toy_recommender("pear plum pear"), "plum pear kiwi").columns()
    >>> columns["target"].tolist(), columns["rank"].tolist()
    (['pear', 'kiwi'], [1, None])
    """

    header: OutcomesHeader
    session_ids: tuple[str, ...]
    session: NDArray[np.int64]
    position: NDArray[np.int32]
    ts: NDArray[np.int64]
    type_names: tuple[str, ...]
    type: NDArray[np.int16]
    context_length: NDArray[np.int32]
    unknown_items: NDArray[np.int32]
    item_ids: tuple[str, ...]
    item: NDArray[np.int32]
    target: NDArray[np.int32]
    target_known: NDArray[np.bool_]
    target_popularity: NDArray[np.int32]
    target_repeated: NDArray[np.bool_]
    fallback: NDArray[np.bool_]
    rank: NDArray[np.int64]
    slate: NDArray[np.int32]
    slate_popularity: NDArray[np.float32]
    score: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rank)

    @classmethod
    def of(cls, evaluation: Evaluation, recommender: Recommender, log: SessionLog) -> Outcomes:
        """The outcomes of ``evaluation``, which ``evaluate(recommender, log, keep_shown=True)``
        gave.

        Raises:
            ValueError: the evaluation did not keep what was shown, or did not ask for every
                position.
        """
        shown, protocol = evaluation.shown, evaluation.protocol
        if shown is None:
            raise ValueError("outcomes need an evaluation with keep_shown=True")
        catalog = recommender.catalog
        rules = type(recommender.rules).from_dict(protocol.rules)
        questions = log.questions(catalog, rules, protocol.min_prefix)
        if questions.positions != protocol.positions:
            raise ValueError("outcomes need an evaluation of every position")
        at, answer = questions.position, questions.position + 1
        popularity = popularity_ranks(catalog)
        known = questions.targets >= 0
        unknown_before = np.concatenate(([0], np.cumsum(questions.events.rows < 0)))
        length = questions.ends - questions.starts
        unknown = unknown_before[questions.ends] - unknown_before[questions.starts]
        # Items of the log that the catalog lacks are numbered after the catalog's own.
        rows = catalog.rows(log.item_ids)
        everything = np.where(rows < 0, len(catalog) + np.arange(len(rows)), rows)
        coded = np.column_stack((everything[log.item[np.stack((at, answer), axis=1)]], shown.rows))
        used, codes = codes_by_appearance(coded)
        session_codes, session = codes_by_appearance(questions.session)
        type_codes, type_ = codes_by_appearance(log.type[at].astype(np.int64))
        return cls(
            OutcomesHeader(
                FORMAT,
                evaluation.model,
                recommender.predictor.kind,
                recommender.fingerprint,
                protocol,
                {k: v for k, v in evaluation.to_dict().items() if k != "protocol"},
            ),
            tuple(log.session_ids[s] for s in session_codes.tolist()),
            session,
            (at - np.searchsorted(log.session, log.session[at])).astype(np.int32),
            log.ts[at],
            tuple(log.type_names[t] for t in type_codes.tolist()),
            type_.astype(np.int16),
            length.astype(np.int32),
            unknown.astype(np.int32),
            tuple(
                catalog.item_ids[c] if c < len(catalog) else log.item_ids[c - len(catalog)]
                for c in used.tolist()
            ),
            codes[:, 0].astype(np.int32),
            codes[:, 1].astype(np.int32),
            known,
            np.where(known, popularity[questions.targets], UNKNOWN).astype(np.int32),
            target_repeated(log, questions),
            unknown == length,
            evaluation.ranks,
            codes[:, 2:].astype(np.int32),
            mean_popularity(shown.rows, popularity, len(catalog)),
            shown.score,
            shown.confidence,
        ).sealed()

    def sealed(self) -> Outcomes:
        """The same outcomes with their hash in the header."""
        header = msgspec.structs.replace(self.header, content=self.content_hash())
        return Outcomes(header, *(getattr(self, f.name) for f in fields(self)[1:]))

    def content_hash(self) -> str:
        """sha256 (hex) of the header, its own ``content`` left out, and of the rows."""
        header = msgspec.structs.replace(self.header, content="")
        digest = hashlib.sha256(msgspec.json.encode(header, order="sorted"))
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                digest.update(msgspec.json.encode(value))
            else:
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Writes the file ``path``, whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        from session_rec.evaluation.outcome_files import save

        save(self, path)

    @classmethod
    def read(cls, path: Path) -> Outcomes:
        """The outcomes in ``path``.

        Raises:
            DataError: the file is missing, damaged, of another version, or none of ours.
        """
        from session_rec.evaluation.outcome_files import read

        return read(path)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns of the file but ``slate``, each [Q]; masked where a value is missing."""
        items = objects(self.item_ids)
        return {
            "session_id": objects(self.session_ids)[self.session],
            "position": self.position,
            "ts": self.ts,
            "type": objects(self.type_names)[self.type],
            "context_length": self.context_length,
            "unknown_items": self.unknown_items,
            "item": items[self.item],
            "target": items[self.target],
            "target_known": self.target_known,
            "target_popularity": masked(self.target_popularity, UNKNOWN),
            "target_repeated": self.target_repeated,
            "fallback": self.fallback,
            "rank": masked(self.rank, NOT_RANKED),
            "slate_popularity": self.slate_popularity,
            "score": self.score,
            "confidence": self.confidence,
        }

    @property
    def slate_ids(self) -> NDArray[np.object_]:
        """object [Q, 20]: the ids of the items shown, None where fewer could be shown."""
        ids = objects((*self.item_ids, None))
        return ids[self.slate]

    def to_pandas(self) -> pd.DataFrame:
        """A row per question; missing ranks are ``<NA>``, a slate is a list of item ids.

        Needs pandas, which is not part of the base install.
        """
        import pandas as pd

        frame = pd.DataFrame(
            {
                name: pd.arrays.IntegerArray(column.data, column.mask)
                if isinstance(column, np.ma.MaskedArray)
                else column
                for name, column in self.columns().items()
            }
        )
        frame["slate"] = [[i for i in s if i is not None] for s in self.slate_ids.tolist()]
        return frame


def popularity_ranks(catalog: Catalog) -> NDArray[np.int64]:
    """int64 [N]: the rank of each item by training clicks, 1 for the most clicked.

    >>> popularity_ranks(Catalog.from_counts({"a": 1, "b": 5, "c": 1})).tolist()
    [2, 1, 3]
    """
    ranks = np.empty(len(catalog), np.int64)
    ranks[catalog.by_popularity] = np.arange(1, len(catalog) + 1)
    return ranks
