"""The outcome of every question: against plain Python, and through files and back."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec import Catalog
from session_rec.errors import DataError
from session_rec.evaluation.confidence import first_item_confidence
from session_rec.evaluation.evaluate import SLATE, evaluate
from session_rec.evaluation.metrics import NOT_RANKED
from session_rec.evaluation.names import distinct_names, outcome_files
from session_rec.evaluation.outcome_columns import codes_by_appearance
from session_rec.evaluation.outcome_files import check_replaceable, find_file, read_header
from session_rec.evaluation.outcomes import Outcomes, OutcomesHeader
from session_rec.evaluation.protocol import Protocol, items_fingerprint
from session_rec.predictors.item2vec import ContextVectorConfig, Item2Vec


@pytest.fixture
def outcomes(recommender, log):
    return Outcomes.of(
        evaluate(recommender, log, name="m", split="test", keep_shown=True), recommender, log
    )


@pytest.fixture
def saved(outcomes, tmp_path):
    outcomes.save(tmp_path / "m.parquet")
    return tmp_path / "m.parquet"


def same(a: Outcomes, b: Outcomes) -> None:
    for field in dataclasses.fields(Outcomes):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype, field.name
            np.testing.assert_array_equal(x, y, field.name)
        else:
            assert x == y, field.name


def test_every_column_is_what_plain_python_says(recommender, log, recorded, asked, outcomes):
    frame = outcomes.to_pandas()
    count = dict(zip(recommender.catalog.item_ids, recommender.catalog.count.tolist(), strict=True))
    by_clicks = sorted(count, key=lambda i: -count[i])
    assert len(frame) == len(asked)
    seen = set()
    for (p, context, target), row in zip(asked, frame.to_dict("records"), strict=True):
        session, item, ts, kind = recorded[p]
        scores = dict(
            zip(
                recommender.catalog.item_ids,
                recommender.score(recommender.encode([context]))[0].tolist(),
                strict=True,
            )
        )
        known = [i for i in context if i in count]
        slate = sorted(scores, key=lambda i: -scores[i])[:20]
        rank = sum(s >= scores[target] for s in scores.values()) if target in count else None
        above = sum(s for s in scores.values() if s > 0)
        expected = {
            "session_id": session,
            "position": sum(c[0] == session for c in recorded[:p]),
            "ts": ts,
            "type": kind,
            "item": item,
            "context_length": len(context),
            "unknown_items": len(context) - len(known),
            "target": target,
            "target_known": target in count,
            "target_repeated": target in context,
            "fallback": not known,
            "slate": slate,
        }
        assert {k: row[k] for k in expected} == expected
        if rank is None:
            assert str(row["rank"]) == str(row["target_popularity"]) == "<NA>"
        else:
            assert row["rank"] == rank
            assert row["target_popularity"] == 1 + by_clicks.index(target)
        assert row["slate_popularity"] == pytest.approx(
            sum(map(by_clicks.index, slate)) / 20 / len(count)
        )
        assert row["score"] == pytest.approx(max(scores.values()))
        assert row["confidence"] == pytest.approx(
            max(scores.values()) / above if above else 0, rel=1e-5
        )
        seen |= {("fallback", not known), ("repeated", target in context), ("known", rank is None)}
    assert len(seen) == 6  # the log has every case


def test_outcomes_agree_with_the_figures_beside_them(outcomes):
    figures = outcomes.header.figures
    assert np.mean(outcomes.rank <= 20) == pytest.approx(figures["metrics"]["hr@20"])
    assert np.mean(outcomes.fallback) == pytest.approx(figures["fallback"])
    assert np.mean(~outcomes.target_known) == pytest.approx(figures["unknown_targets"])
    assert outcomes.slate_popularity.mean() == pytest.approx(figures["shown_popularity@20"])
    assert len(np.unique(outcomes.slate)) / 60 == pytest.approx(figures["coverage@20"])


def test_a_file_gives_the_same_outcomes_and_the_same_bytes(outcomes, saved, tmp_path):
    read = Outcomes.read(saved)
    same(read, outcomes)
    read.save(tmp_path / "again" / "m.parquet")
    assert (tmp_path / "again" / "m.parquet").read_bytes() == saved.read_bytes()
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == ["m.parquet"]


def test_anyone_can_read_the_file(saved, outcomes):
    rank, slate, ts = duckdb.sql(
        f"SELECT list(rank), list(slate), list(ts) FROM '{saved}'"
    ).fetchall()[0]
    assert [r or NOT_RANKED for r in rank] == outcomes.rank.tolist()
    assert slate == outcomes.slate_ids.tolist()
    assert ts == outcomes.ts.tolist()


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
FINITE = st.floats(width=32, allow_nan=False)


@st.composite
def any_outcomes(draw):
    """Outcomes of up to five questions, nothing but well-formed."""
    q = draw(st.integers(1, 5))

    def numbers(dtype, values):
        return np.array(draw(st.lists(values, min_size=q, max_size=q)), dtype)

    def words(n):
        return draw(st.lists(WORDS, min_size=n, max_size=n))

    sessions, types = words(q), words(q)
    clicked, targets = words(q), words(q)
    slates = [draw(st.lists(WORDS, max_size=SLATE)) for _ in range(q)]
    items = list(
        dict.fromkeys(
            i for c, t, s in zip(clicked, targets, slates, strict=True) for i in (c, t, *s)
        )
    )
    session_ids, type_names = list(dict.fromkeys(sessions)), list(dict.fromkeys(types))
    known = numbers(bool, st.booleans())
    protocol = Protocol(
        data=draw(WORDS), split=draw(WORDS), rules={"name": "shop", "max_length": 3},
        min_prefix=1, questions=q, sessions=len(session_ids), items=7, catalog="c",
    )  # fmt: skip
    return Outcomes(
        OutcomesHeader(1, draw(WORDS), "kind", "f", protocol, {"metrics": {"hr@20": 0.5}}),
        tuple(session_ids),
        np.array([session_ids.index(s) for s in sessions], np.int64),
        numbers(np.int32, st.integers(0, 2**31 - 1)),
        numbers(np.int64, st.integers(0, 10**13)),
        tuple(type_names),
        np.array([type_names.index(t) for t in types], np.int16),
        numbers(np.int32, st.integers(0, 100)),
        numbers(np.int32, st.integers(0, 100)),
        tuple(items),
        np.array([items.index(c) for c in clicked], np.int32),
        np.array([items.index(t) for t in targets], np.int32),
        known,
        np.where(known, numbers(np.int32, st.integers(1, 2**31 - 1)), -1).astype(np.int32),
        numbers(bool, st.booleans()),
        numbers(bool, st.booleans()),
        np.where(known, numbers(np.int64, st.integers(1, NOT_RANKED - 1)), NOT_RANKED),
        np.array([[items.index(i) for i in s] + [-1] * (SLATE - len(s)) for s in slates], np.int32),
        numbers(np.float32, FINITE),
        numbers(np.float32, FINITE),
        numbers(np.float32, FINITE),
    ).sealed()


@settings(max_examples=12, deadline=None)
@given(any_outcomes())
def test_any_outcomes_survive_a_file(tmp_path_factory, outcomes):
    path = tmp_path_factory.mktemp("o") / "o.parquet"
    outcomes.save(path)
    same(Outcomes.read(path), outcomes)


@given(st.lists(st.integers(-1, 5), max_size=12))
def test_codes_count_by_first_appearance(values):
    distinct, codes = codes_by_appearance(np.array(values, np.int64))
    expected = list(dict.fromkeys(v for v in values if v >= 0))
    assert distinct.tolist() == expected
    assert codes.tolist() == [expected.index(v) if v >= 0 else -1 for v in values]


def rewritten(saved, select, header=None):
    """The file after someone's SQL, header and all."""
    kept = msgspec.json.encode(header or read_header(saved)).decode()
    other = saved.with_name("other.parquet")
    duckdb.sql(
        f"COPY (SELECT {select} FROM '{saved}') TO '{other}' (FORMAT parquet, "
        f"KV_METADATA {{session_rec_outcomes: '{kept}'}})"
    )
    return other


def test_a_changed_file_is_refused(saved):
    same(Outcomes.read(rewritten(saved, "*")), Outcomes.read(saved))
    for select in (
        "* REPLACE (CAST(1 AS BIGINT) AS rank)",
        "* REPLACE (list_reverse(slate) AS slate)",
        "* REPLACE ('i00' AS target)",
    ):
        with pytest.raises(DataError, match=r"other\.parquet was changed"):
            Outcomes.read(rewritten(saved, select))
    header = read_header(saved)
    better = {**header.figures, "metrics": {**header.figures["metrics"], "hr@20": 0.99}}
    for changed in ({"figures": better}, {"model": "other"}, {"fingerprint": "0" * 16}):
        with pytest.raises(DataError, match=r"other\.parquet was changed"):
            Outcomes.read(rewritten(saved, "*", msgspec.structs.replace(header, **changed)))
    with pytest.raises(DataError, match="damaged or no outcomes file.*confidence"):
        Outcomes.read(rewritten(saved, "* EXCLUDE (confidence)"))
    newer = msgspec.structs.replace(read_header(saved), format=2)
    with pytest.raises(DataError, match=r"has format 2, this version reads 1"):
        Outcomes.read(rewritten(saved, "*", newer))


def test_what_is_no_outcomes_file_is_refused_in_a_sentence(saved, log_file, tmp_path):
    with pytest.raises(DataError, match="is not there"):
        Outcomes.read(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="holds no outcomes"):
        Outcomes.read(log_file)
    whole = saved.read_bytes()
    torn = tmp_path / "torn.parquet"
    for data in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-100], b"x" * 1000):
        torn.write_bytes(data)
        with pytest.raises(DataError, match=r"torn\.parquet is damaged or no outcomes file"):
            Outcomes.read(torn)


def test_flipped_bytes_never_go_unnoticed(saved):
    whole = saved.read_bytes()
    original = Outcomes.read(saved)
    places = np.random.default_rng(0).integers(4, len(whole), 16).tolist()
    refused = 0
    for at in places:
        saved.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            read = Outcomes.read(saved)
        except DataError as e:
            assert "\n" not in str(e)
            refused += 1
        else:
            same(read, original)
    assert refused > 5


def test_a_file_of_another_model_or_log_is_not_written_over(saved, outcomes):
    header = outcomes.header
    check_replaceable(saved, header.fingerprint, header.protocol)
    check_replaceable(saved.with_name("new.parquet"), "any", header.protocol)
    with pytest.raises(DataError, match="another model of that name"):
        check_replaceable(saved, "0123456789abcdef", header.protocol)
    other = msgspec.structs.replace(header.protocol, min_prefix=2)
    with pytest.raises(DataError, match="on other questions"):
        check_replaceable(saved, header.fingerprint, other)


def test_a_directory_stands_for_its_one_file(saved, tmp_path):
    assert find_file(saved) == saved
    alone = tmp_path / "alone"
    alone.mkdir()
    with pytest.raises(DataError, match="holds none"):
        find_file(alone)
    (alone / "m.parquet").write_bytes(saved.read_bytes())
    assert find_file(alone) == alone / "m.parquet"
    (alone / "n.parquet").write_bytes(saved.read_bytes())
    with pytest.raises(DataError, match=r"m\.parquet, n\.parquet"):
        find_file(alone)


def test_names_tell_models_apart(tmp_path):
    paths = [Path("/r/a/x/m"), Path("/r/b/x/m"), Path("/r/b/n")]
    assert distinct_names(paths) == ["a/x/m", "b/x/m", "n"]
    assert distinct_names([Path("/m"), Path("/r/m")]) == ["m", "r/m"]
    assert [f.name for f in outcome_files(tmp_path, ["a/m", "n"])] == ["a--m.parquet", "n.parquet"]
    with pytest.raises(DataError, match="given twice"):
        distinct_names([Path("/r/m"), Path("/r/x/../m")])
    with pytest.raises(DataError, match="would hold two models"):
        outcome_files(tmp_path, ["a/m", "a--m"])


def test_outcomes_need_the_slates(recommender, log):
    with pytest.raises(ValueError, match="keep_shown"):
        Outcomes.of(evaluate(recommender, log, name="m", split="t"), recommender, log)
    for chosen in ({"positions": "last"}, {"since": 0}):
        some = evaluate(recommender, log, name="m", split="t", keep_shown=True, **chosen)
        with pytest.raises(ValueError, match="every position"):
            Outcomes.of(some, recommender, log)


def test_confidence_by_hand():
    scores = np.array([[1, 2, 3], [1, 2, 3], [-1, -2, -3], [0, 0, 0], [1, 2, 3]], np.float32)
    first = np.array([3, 3, -1, 0, -np.inf], np.float32)
    e = np.exp([1.0, 2.0, 3.0])
    share = first_item_confidence(scores, first, np.array([True, False, False, False, True]))
    assert share.dtype == np.float32
    assert share.tolist() == pytest.approx([e[2] / e.sum(), 0.5, 0, 0, 0])
    huge = np.array([[1e30, 0]], np.float32)
    for logits in (True, False):
        assert first_item_confidence(huge, huge[:, 0], np.array([logits])).tolist() == [1]


def test_logits_become_a_softmax_but_counts_of_the_fallback_a_share(recommender, log, asked):
    catalog = recommender.catalog
    vectors = np.random.default_rng(0).normal(size=(len(catalog), 8)).astype(np.float32)
    model = Item2Vec.from_vectors(vectors, vectors, catalog.count, ContextVectorConfig())
    other = dataclasses.replace(recommender, predictor=model)
    found = Outcomes.of(
        evaluate(other, log, name="m", split="t", keep_shown=True), other, log
    ).confidence.tolist()
    kinds = set()
    for (_, context, _), confidence in zip(asked, found, strict=True):
        known = any(catalog.row(i) >= 0 for i in context)
        kinds.add(known)
        scores = other.score(other.encode([context]))[0].astype(float)
        weight = np.exp(scores) if known else catalog.count
        assert confidence == pytest.approx(weight.max() / weight.sum(), rel=1e-5)
    assert kinds == {True, False}


def test_a_catalog_is_known_by_its_items_alone():
    abc = items_fingerprint(Catalog(("a", "b", "c"), np.array([1, 2, 3])))
    assert abc == items_fingerprint(Catalog(("c", "a", "b"), np.array([0, 0, 9])))
    assert abc != items_fingerprint(Catalog(("a", "b", "d"), np.array([1, 2, 3])))
    assert abc != items_fingerprint(Catalog(("a", "bc"), np.array([1, 2])))


def test_files_need_no_pandas(saved):
    code = (
        "import sys; from pathlib import Path; sys.modules['pandas'] = None\n"
        "from session_rec.evaluation.outcomes import Outcomes\n"
        "p = Path(sys.argv[1]); o = Outcomes.read(p); o.save(p); print(len(o))\n"
        "assert not {'pyarrow', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, saved], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(Outcomes.read(saved))
