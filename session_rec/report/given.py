"""The outcomes that a report is made of: read, checked to be alike, and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from session_rec.errors import DataError
from session_rec.evaluation.compare import check_comparable
from session_rec.evaluation.outcome_files import find_file
from session_rec.evaluation.outcomes import Outcomes


def outcome_paths(given: Sequence[Path]) -> list[Path]:
    """The files of ``evaluate --save``, those of directories sorted by name.

    Raises:
        DataError: a directory holds none.

    >>> import tempfile
    >>> runs = Path(tempfile.mkdtemp())
    >>> for name in ("b.parquet", "a.parquet"):
    ...     (runs / name).touch()
    >>> [path.name for path in outcome_paths([runs])]
    ['a.parquet', 'b.parquet']
    """
    files = []
    for path in given:
        inside = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        files += inside or [find_file(path)]
    return files


def read_outcomes(given: Sequence[Outcomes | Path | str]) -> list[Outcomes]:
    """What is given, read where it is a file or a directory of them.

    Raises:
        DataError: a file cannot be used, or a directory holds none.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> len(read_outcomes([toy_outcomes(toy_recommender("pear plum pear"), "plum pear")]))
    1
    """
    return [outcomes for one in given for outcomes in _read(one)]


def _read(given: Outcomes | Path | str) -> list[Outcomes]:
    if isinstance(given, Outcomes):
        return [given]
    return [Outcomes.read(path) for path in outcome_paths([Path(given)])]


def by_name(outcomes: Sequence[Outcomes]) -> dict[str, Outcomes]:
    """The outcomes by distinct names, the highest HR@20 first; all answer the same questions.

    Raises:
        UnlikeProtocolsError: the models were not measured alike; the fields are named.
        DataError: there are none, or one model is given twice.

    >>> from session_rec.toy import toy_outcomes, toy_recommender
    >>> list(by_name([toy_outcomes(toy_recommender("pear plum pear"), "plum pear")]))
    ['toy']
    """
    if not outcomes:
        raise DataError("there is nothing to report: give files of 'evaluate --save'")
    for o in outcomes[1:]:
        check_comparable(outcomes[0], o)
    times = Counter(o.header.model for o in outcomes)
    named: dict[str, Outcomes] = {}
    for o in sorted(outcomes, key=_rank):
        h = o.header
        name = h.model if times[h.model] == 1 else f"{h.model} ({h.fingerprint[:8]})"
        if name in named or any(n.header.fingerprint == h.fingerprint for n in named.values()):
            raise DataError(f"{name} is given twice: give each model once")
        named[name] = o
    return named


def _rank(o: Outcomes) -> tuple[float, str, str]:
    return (-o.header.figures["metrics"]["hr@20"], o.header.model, o.header.fingerprint)
