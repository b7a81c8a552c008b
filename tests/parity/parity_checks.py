"""What must be equal, and what must have happened for that to mean anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from parity_case import Case, K, Scored
from parity_live import Live, score_bytes
from parity_oracle import Expected, Key, Place, accounts, expected_of

from session_rec.events import type_code


def check_in_process(scored: Scored) -> int:
    """Replay = the recommender on ``log.questions`` = ``evaluate``; returns the positions."""
    questions, answers = scored.questions, scored.answers
    slates = scored.recommender.recommend_many(questions.contexts(slice(None)), K)
    ids = scored.recommender.catalog.item_ids
    for q, p in enumerate(questions.position.tolist()):
        assert answers.slates[p] == slates.items(q)
        assert answers.scores[p].tobytes() == slates.scores[q].tobytes()
        target = int(questions.targets[q])
        check_rank(
            int(scored.ranks[q]), ids[target] if target >= 0 else None,
            answers.slates[p], answers.scores[p],
        )  # fmt: skip
    assert all(slate is not None for slate in answers.slates)
    return len(questions)


def check_rank(rank: int, target: str | None, slate: Sequence[str], scores: Any) -> None:
    """The rank that ``evaluate`` gave is the one that a slate of ``K`` shows: the items at or
    above the target's score are all in it where they are at most ``K``."""
    scores = np.asarray(scores, np.float32)
    if target is None or target not in slate:
        assert rank > K
        return
    own = scores[list(slate).index(target)]
    if rank <= K:
        assert rank == np.count_nonzero(scores >= own)
    else:
        assert own == scores[-1], "below the target there are lower scores, so its ties are shown"


def check_formulas(case: Case, kind: str, keys: Sequence[Key], slates: Sequence[Any]) -> int:
    """Slates (ids, scores) are those of the library or formula on the test's own prefixes, but
    for 1e-5 of the score range and swaps within it; returns how many were compared.

    Of the two-stage model a few are not: those for which the formula gives no scores, as they hang
    on an order that float32 does not settle.
    """
    undecided = 0
    want = case.formulas.scores(kind, [case.items(key) for key in keys])
    for line, key, (ids, scores) in zip(want, keys, slates, strict=True):
        if kind == "two-stage" and np.isnan(line).all():
            undecided += 1
            continue
        rows = [case.formulas.row[i] for i in ids]
        assert len(set(rows)) == K
        order = np.lexsort((np.arange(len(line)), -line))[:K]
        if kind == "popularity" or not case.formulas.known(case.items(key)):
            assert rows == order.tolist()
            assert np.array_equal(scores, line[order])
            continue
        tolerance = 1e-5 * (line.max() - line.min())
        assert np.abs(np.asarray(scores, float) - line[rows]).max() <= tolerance
        assert np.abs(line[rows] - line[order]).max() <= tolerance
    assert undecided <= len(keys) / 20
    return len(keys) - undecided


@dataclass
class Compared:
    """How much a live run gave to compare."""

    records: int
    partitions: int
    in_step: int
    out_of_step: int
    sample: int
    ends: str
    repeated: int
    fates: Counter[str]

    def __str__(self) -> str:
        fates = ", ".join(f"{n} {fate}" for fate, n in sorted(self.fates.items()))
        return (
            f"{self.records} events, {self.partitions} partitions, daemons {self.ends}; "
            f"{self.in_step} positions live = replay = evaluate, {self.out_of_step} more after "
            f"disorder live = recommender, {self.sample} = library or formula; "
            f"{self.repeated} repeated; {fates}"
        )


def check_live(case: Case, kind: str, live: Live, ends: Sequence[str]) -> Compared:
    """Everything that a run through a broker must satisfy."""
    scored = case.scored(kind)
    expected = expected_of(live.records)
    emitted = {p: e for p, e in expected.items() if e.fate == "emitted"}
    ids = {place: f"{live.topic}-{place[0]}-{place[1]}" for place in emitted}
    assert live.predictions.keys() == set(ids.values())
    check_fates(case, expected, live)
    check_recommender(case, scored, emitted, {p: live.predictions[i] for p, i in ids.items()})

    # Where nothing of a session came late or out of order, the stream knew what is on record.
    in_step = {
        e.key: live.predictions[ids[place]]
        for place, e in emitted.items()
        if plain(e.context) == plain(case.contexts[e.key])
    }
    left_out = [e for e in emitted.values() if e.key not in in_step]
    disordered = {e.key[0] for e in expected.values() if e.fate != "duplicates" and not e.in_order}
    assert {e.key[0] for e in left_out} <= disordered
    check_offline(case, scored, in_step)
    sample = case.sample(in_step)
    compared = check_formulas(
        case, kind, sample, [(in_step[k]["items"], in_step[k]["scores"]) for k in sample]
    )
    return Compared(
        len(live.records),
        len({r.partition for r in live.records}),
        len(in_step),
        len(left_out),
        compared,
        " and ".join(ends),
        live.repeated,
        Counter(e.fate for e in expected.values()),
    )


def plain(context: Sequence[Any]) -> list[tuple[int, str, str]]:
    """A context without the order of arrival, which rows and offsets number differently."""
    return [(c.ts, c.item, c.type) for c in context]


def check_offline(case: Case, scored: Scored, in_step: dict[Key, Any]) -> None:
    """Live = replay at every position, and at every question the rank of ``evaluate``."""
    answers, ids = scored.answers, scored.recommender.catalog.item_ids
    asked = {p: q for q, p in enumerate(scored.questions.position.tolist())}
    ranked = 0
    for key, prediction in in_step.items():
        p = case.position[key]
        assert prediction["items"] == answers.slates[p]
        assert score_bytes(prediction["scores"]) == answers.scores[p].tobytes()
        if p in asked:
            target = int(scored.questions.targets[asked[p]])
            check_rank(
                int(scored.ranks[asked[p]]), ids[target] if target >= 0 else None,
                prediction["items"], prediction["scores"],
            )  # fmt: skip
            ranked += 1
    assert ranked > len(in_step) / 2


def check_recommender(
    case: Case, scored: Scored, emitted: dict[Place, Expected], predictions: dict[Place, Any]
) -> None:
    """Every prediction, after disorder too, is the recommender's for the test's own prefix, and
    says what it was made from."""
    recommender = scored.recommender
    contexts = [e.context for e in emitted.values()]
    slates = recommender.recommend_many(
        recommender.encode(
            [[c.item for c in context] for context in contexts],
            [[c.ts for c in context] for context in contexts],
            [[type_code(c.type) for c in context] for context in contexts],
        ),
        K,
    )
    for b, (place, e) in enumerate(emitted.items()):
        got = predictions[place]
        known = len(case.formulas.known([c.item for c in e.context]))
        assert got["items"] == slates.items(b)
        assert score_bytes(got["scores"]) == slates.scores[b].tobytes()
        assert got["model"] == recommender.fingerprint
        assert (got["session_id"], got["ts"], got["in_order"]) == (e.key[0], e.key[2], e.in_order)
        assert (got["known_items"], got["fallback"]) == (known, known == 0)


def check_fates(case: Case, expected: dict[Place, Expected], live: Live) -> None:
    """Every daemon's accounts are the test's own: nothing was conflated, over the cap, lost or
    given up, and fallbacks, unknown items and the rest were as many as there had to be."""
    known = case.formulas.known
    ends = Counter(r.partition for r in live.records)
    begins = [life.begins for life in live.lives] + [dict(ends)]
    for life, following in zip(live.lives, begins[1:], strict=True):
        # It emitted up to where the next one began; a killed one kept no account.
        if life.accounts is not None:
            assert life.accounts == accounts(expected, life.begins, following)
    last = live.lives[-1]
    metrics = last.metrics
    served = [e for (p, offset), e in expected.items() if offset >= last.begins[p]]
    emitted = [e for e in served if e.fate == "emitted"]
    assert metrics["session_rec_records_consumed_total"] == len(served)
    assert metrics["session_rec_out_of_order_total"] == sum(not e.in_order for e in emitted)
    assert metrics["session_rec_unknown_items_total"] == sum(not known([e.key[1]]) for e in served)
    fallbacks = sum(not known([c.item for c in e.context]) for e in emitted)
    assert metrics["session_rec_fallbacks_total"] == fallbacks > 0
    assert metrics["session_rec_rebuilt_total"] == last.rebuilt > 0
    for cap in ("sessions_cap", "bytes_cap"):
        assert metrics[f'session_rec_sessions_dropped_total{{reason="{cap}"}}'] == 0
    for never in ("lost", "key_mismatches", "redelivered"):
        assert metrics[f"session_rec_{never}_total"] == 0
    batches = (
        metrics['session_rec_stage_seconds_count{stage="recommend"}']
        - metrics['session_rec_stage_seconds_count{stage="batch"}']
    )
    assert batches > 0 and len(emitted) / batches > 2, "micro-batches of more than one context"
