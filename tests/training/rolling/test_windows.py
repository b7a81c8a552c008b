"""Windows of a log: by ends, none split, nothing from the future in training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec import SessionRules
from session_rec.errors import ConfigError, DataError
from session_rec.event_log import SessionLog, read_sessions
from training.rolling.windows import WindowLength, cut_windows, without_repeats
from training.train import build_catalog

from .conftest import DAY, HOUR, START, at_day

PAIRS = SessionRules("pairs")


def log_of(sessions):
    """The log of ``[(id, [(item, ms since START), ...]), ...]`` without a file."""
    flat = [(s, item, at) for s, (_, events) in enumerate(sessions) for item, at in events]
    items = sorted({item for _, item, _ in flat})
    n = len(flat)
    return SessionLog(
        tuple(name for name, _ in sessions),
        np.array([s for s, _, _ in flat], np.int64),
        tuple(items),
        np.array([items.index(i) for _, i, _ in flat], np.int32),
        np.array([START + at for _, _, at in flat], np.int64),
        ("view",),
        np.zeros(n, np.int16),
        np.full(n, -1, np.int64),
    )


def cut(sessions, length="day", rules=PAIRS):
    return cut_windows(log_of(sessions), rules, WindowLength.parse(length))


def members(data):
    return [sorted(data.window(w).session_ids) for w in range(len(data.windows))]


@pytest.mark.parametrize("text", ["week", "0h", "h", "-1h", "1.5h", "5", "", "3sessions5", "Day"])
def test_an_unknown_window_is_refused(text):
    with pytest.raises(ConfigError, match=r"unknown window .* write day, hour"):
        WindowLength.parse(text)


def test_a_session_is_of_the_window_in_which_it_ends():
    data = cut(
        [
            ("early", [("a", 0), ("b", 1000)]),
            ("across", [("a", DAY - 1000), ("b", DAY + 1000)]),
            ("last moment", [("a", 500), ("b", DAY - 1)]),
            ("midnight", [("a", DAY - 1), ("b", DAY)]),
            ("later", [("b", DAY + HOUR)]),
        ]
    )
    assert members(data) == [["early", "last moment"], ["across", "later", "midnight"]]
    assert [w.name for w in data.windows] == ["2026-03-01", "2026-03-02"]


def test_a_click_before_the_last_training_event_is_no_question():
    """`across` was asked for b while the first day still ran: only its c came after that."""
    data = cut(
        [
            ("across", [("a", DAY - 9000), ("b", DAY - 8000), ("c", DAY + 1)]),
            ("busy", [("a", DAY - 7000), ("b", DAY - 5000)]),
        ]
    )
    log, since = data.window(1), data.windows[1].asked_since
    assert since == START + DAY - 5000 + 1
    asked = log.questions(build_catalog(log), PAIRS, since=since)
    assert (log.ts[asked.position + 1] - START).tolist() == [DAY + 1]


def test_empty_windows_are_skipped_and_counted():
    data = cut([at_day(0, "ab"), at_day(3, "ab"), at_day(7, "ab")])
    assert [w.name for w in data.windows] == ["2026-03-01", "2026-03-04", "2026-03-08"]
    assert data.empty == 5


@pytest.mark.parametrize(
    "length,names",
    [
        ("hour", ["2026-03-01T00", "2026-03-01T05", "2026-03-02T02"]),
        ("6h", ["2026-03-01T00", "2026-03-02T00"]),
    ],
)
def test_hours(length, names):
    data = cut([(str(h), [("a", h * HOUR), ("b", h * HOUR + 1)]) for h in (26, 0, 5)], length)
    assert [w.name for w in data.windows] == names


def test_the_visits_of_one_session_id_are_of_their_own_windows_where_a_gap_parts_them():
    visits = [("u", [("a", 0), ("b", 1000), ("c", DAY), ("d", DAY + 1000)]), at_day(1, "xy")]
    shop = cut(visits, rules=SessionRules())
    assert members(shop) == [["u"], ["1-0", "u"]]
    assert shop.window(0).item_ids == ("a", "b")
    assert [w.end - w.first for w in cut([*visits, at_day(0, "pq")]).windows] == [1, 2]


def test_a_number_of_sessions_needs_no_clock():
    sessions = [(str(s), [("a", 2 * s - START), ("b", 2 * s + 1 - START)]) for s in range(7)]
    data = cut(sessions, "3sessions")
    assert members(data) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [w.name for w in data.windows] == ["session-1", "session-4", "session-7"]
    with pytest.raises(DataError, match=r"ts is no clock .* --window 5000sessions"):
        cut(sessions, "day")


def test_places_within_a_session_are_no_order_of_sessions():
    places = [(str(s), [("a", p - START) for p in range(1 + s % 4)]) for s in range(8)]
    with pytest.raises(DataError, match=r"ts does not say which session came first"):
        cut(places, "3sessions")


@pytest.mark.parametrize(
    "sessions,words",
    [
        ([("a", [("x", START // 1000 - START)])] * 2, 'which are seconds.*set ts_unit = "s"'),
        ([("a", [("x", START * 1000 - START)])] * 2, "in another unit than ts_unit says"),
        ([at_day(0, "ab"), at_day(0, "ab", 1)], "all time of the data lies in one window of a day"),
        ([], "no event in the data"),
    ],
)
def test_what_cannot_be_rolled_over_is_said_in_a_sentence(sessions, words):
    with pytest.raises(DataError, match=words):
        cut(sessions)


def test_repeats_in_a_row_become_one():
    log = without_repeats(
        log_of([("1", [(i, n) for n, i in enumerate("aabbbca")]), at_day(1, "a")])
    )
    assert "".join(log.item_ids[i] for i in log.item) == "abcaa"
    assert log.session.tolist() == [0, 0, 0, 0, 1]
    assert (log.ts - START)[:4].tolist() == [0, 2, 5, 6]


def test_what_a_file_holds_beside_does_not_change_a_window(write):
    first = [at_day(0, "ab"), at_day(1, "cb"), at_day(1, "ba", 1)]
    logs = [
        read_sessions(write(sessions, str(n)))
        for n, sessions in enumerate(
            [first, [at_day(2, "zz"), *first], [at_day(0, "ac", 9), *first]]
        )
    ]
    one, later, other_past = (cut_windows(log, PAIRS, WindowLength.parse("day")) for log in logs)
    for w in range(2):
        assert later.windows[w].past == one.windows[w].past
    assert other_past.windows[1].fingerprint == one.windows[1].fingerprint
    assert other_past.windows[1].past != one.windows[1].past
    assert one.window(1).fingerprint == other_past.window(1).fingerprint


SESSIONS = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 4 * DAY // 1000).map(lambda s: s * 1000)),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=12,
).map(lambda many: [(str(s), sorted(events, key=lambda e: e[1])) for s, events in enumerate(many)])


@settings(max_examples=100, deadline=None)
@given(SESSIONS, st.sampled_from(["day", "6h", "2sessions"]), st.sampled_from(["pairs", "shop"]))
def test_nothing_trained_on_is_as_late_as_what_is_asked(sessions, length, rules_name):
    rules = SessionRules(rules_name)
    try:
        data = cut(sessions, length, rules)
    except DataError:
        return
    everything = sorted((START + at, item) for _, events in sessions for item, at in events)
    kept = data.log
    assert (
        sorted(zip(kept.ts.tolist(), (kept.item_ids[i] for i in kept.item), strict=True))
        == everything
    )
    for w in range(1, len(data.windows)):
        past, log = data.sessions(0, w - 1), data.window(w)
        assert past.ts.max() < data.windows[w].asked_since
        for positions in ("every", "last"):
            asked = log.questions(
                build_catalog(past),
                rules,
                positions=positions,
                since=data.windows[w].asked_since,
            )
            assert (log.ts[asked.position + 1] > past.ts.max()).all()
        assert len(past) + sum(len(data.window(v)) for v in range(w, len(data.windows))) == len(
            kept
        )
