"""Recorded sessions as columns, questions and training sessions."""

import duckdb
import numpy as np
import pytest

from session_rec import Catalog, SessionRules
from session_rec.errors import DataError
from session_rec.event_log import read_sessions

MINUTE = 60_000


def write(path, rows, columns="session_id, item_id, ts"):
    values = ", ".join(str(r) for r in rows)
    duckdb.sql(f"COPY (SELECT * FROM (VALUES {values}) t({columns})) TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture
def log(tmp_path):
    rows = [
        (7, "a", 0),
        (7, "b", MINUTE),
        (7, "q", 2 * MINUTE),
        (7, "a", 60 * MINUTE),
        (7, "c", 61 * MINUTE),
        (8, "b", 5),
        (9, "a", 9),
        (9, "a", 9 + MINUTE),
    ]
    return read_sessions(write(tmp_path / "s.parquet", rows))


CATALOG = Catalog(("a", "b", "c"), np.array([1, 1, 1]))


def contexts_and_targets(questions):
    contexts = questions.contexts(slice(None))
    return [(contexts.sequence(q).tolist(), int(t)) for q, t in enumerate(questions.targets)]


def test_every_position_with_a_next_event_is_a_question(log):
    # The gap of 58 minutes begins a new session; the unknown item keeps its place as -1.
    assert contexts_and_targets(log.questions(CATALOG, SessionRules())) == [
        ([0], 1),
        ([0, 1], -1),
        ([0], 2),
        ([0], 0),
    ]


def test_pairs_take_sessions_as_given(log):
    questions = log.questions(CATALOG, SessionRules("pairs", max_length=3))
    assert contexts_and_targets(questions) == [
        ([0], 1),
        ([0, 1], -1),
        ([0, 1, -1], 0),
        ([1, -1, 0], 2),
        ([0], 0),
    ]
    longer = log.questions(CATALOG, SessionRules("pairs", max_length=3), min_prefix=3)
    assert contexts_and_targets(longer) == [([0, 1, -1], 0), ([1, -1, 0], 2)]


def test_training_sessions_are_cut_in_time_order_without_unknown_items(log):
    cut = log.training_sessions(CATALOG, SessionRules())
    assert [cut.sequence(s).tolist() for s in range(len(cut))] == [[1], [0, 1], [0, 0], [0, 2]]


def test_integers_become_decimal_strings_and_columns_can_be_mapped(tmp_path):
    path = write(tmp_path / "s.parquet", [(1, 42, 3, "cart", "fr")], "s, i, t, kind, country")
    log = read_sessions(path, {"session_id": "s", "item_id": "i", "ts": "t", "type": "kind"})
    assert log.item_ids == ("42",)
    assert log.type_names == ("cart",)
    assert log.features["country"].tolist() == ["fr"]


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([(1, "a", 3)], "session_id, item, ts", "no column item_id; it has session_id, item, ts"),
        ([(1, "a", 3), (2, "a", 3), (1, "b", 4)], "session_id, item_id, ts", "lie together"),
        ([(1, "a", 3), (1, None, 4)], "session_id, item_id, ts", "item_id is empty"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, rows, columns, words):
    values = [tuple("NULL" if v is None else v for v in r) for r in rows]
    text = [str(v).replace("'NULL'", "NULL") for v in values]
    with pytest.raises(DataError, match=words):
        read_sessions(write(tmp_path / "s.parquet", text, columns))


def test_a_condition_that_is_no_sql_is_told_in_a_sentence(tmp_path):
    path = tmp_path / "s.parquet"
    duckdb.sql(f"COPY (SELECT 'a' session_id, 'x' item_id, 1 ts) TO '{path}'")
    for where in ("no_such_column = 1", "((("):
        with pytest.raises(DataError, match=r"s\.parquet: "):
            read_sessions(path, where=where)


def test_sessions_that_run_backwards_are_refused_where_time_matters(tmp_path):
    log = read_sessions(write(tmp_path / "s.parquet", [(1, "a", 30), (1, "b", 20)]))
    with pytest.raises(DataError, match="session '1' are not in time order"):
        log.questions(CATALOG, SessionRules())
    assert len(log.questions(CATALOG, SessionRules("pairs"))) == 1


def test_missing_or_broken_files(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        read_sessions(tmp_path / "no.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(DataError, match="not a Parquet file"):
        read_sessions(tmp_path / "text.parquet")


def test_the_fingerprint_follows_the_content(tmp_path):
    one = read_sessions(write(tmp_path / "1.parquet", [(1, "a", 3)])).fingerprint
    same = read_sessions(write(tmp_path / "2.parquet", [(1, "a", 3)])).fingerprint
    other = read_sessions(write(tmp_path / "3.parquet", [(1, "a", 4)])).fingerprint
    assert one == same != other


def test_the_first_sessions_of_a_log(log):
    head = log.first_sessions(2)
    assert head.session_ids == ("7", "8")
    assert len(head) == 6
    assert head.events(CATALOG).sequence(1).tolist() == [1]
    assert head.fingerprint != log.fingerprint
    assert log.first_sessions(99) is log


def test_the_last_position_of_each_session_alone_is_asked(log):
    shop = log.questions(CATALOG, SessionRules(), positions="last")
    assert contexts_and_targets(shop) == [([0, 1], -1), ([0], 2), ([0], 0)]
    pairs = log.questions(CATALOG, SessionRules("pairs"), positions="last")
    assert contexts_and_targets(pairs) == [([0, 1, -1, 0], 2), ([0], 0)]
    every = log.questions(CATALOG, SessionRules())
    assert pairs.positions == shop.positions != every.positions


def test_answers_before_a_time_are_left_out(log):
    since = log.questions(CATALOG, SessionRules("pairs"), since=2 * MINUTE)
    assert contexts_and_targets(since) == [([0, 1], -1), ([0, 1, -1], 0), ([0, 1, -1, 0], 2)]
    assert "after everything trained on" in since.positions
