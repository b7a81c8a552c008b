"""Which sessions are trained on: nothing twice, nothing left out, nothing later."""

from hypothesis import given
from hypothesis import strategies as st

from session_rec.config import Config
from training.rolling.config import RollingModel
from training.rolling.plan import training_span
from training.rolling.windows import Window


def model(warm, history, validation=0.0):
    return RollingModel("m", "transformer", Config(), warm, history, validation)


def windows_of(sizes):
    bounds = [sum(sizes[:w]) for w in range(len(sizes) + 1)]
    return tuple(Window(str(w), bounds[w], bounds[w + 1], 0, "", "") for w in range(len(sizes)))


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.integers(1, 3), st.floats(0, 0.5))
def test_warm_starts_pass_over_every_session_once_in_order(sizes, burn_in, validation):
    windows, at = windows_of(sizes), 0
    for newest in range(burn_in - 1, len(sizes)):
        span = training_span(windows, newest, burn_in, model(True, 1, validation))
        assert span.first == at <= span.end <= span.valid_end == windows[newest].end
        at = span.end


def test_histories():
    windows = windows_of([10, 10, 10, 10])
    spans = {
        (warm, history): training_span(windows, 3, 1, model(warm, history))[:2]
        for warm in (False, True)
        for history in (1, 2, None)
    }
    assert spans == {
        (False, 1): (30, 40),
        (False, 2): (20, 40),
        (False, None): (0, 40),
        (True, 1): (30, 40),
        (True, 2): (20, 40),
        (True, None): (0, 40),
    }
    # The first training of a warm model has no weights to go on from: it takes all.
    assert training_span(windows, 2, 3, model(True, 1))[:2] == (0, 30)
    assert training_span(windows, 2, 3, model(False, 1))[:2] == (20, 30)
