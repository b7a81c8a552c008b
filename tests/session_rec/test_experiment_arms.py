"""The draw of arms: sticky, of the share asked for, anew for each salt."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from session_rec.experiment_arms import ARMS, CHALLENGER, CHAMPION, Arms

SALTS = st.text(max_size=10)
SHARES = st.floats(0, 1)


def drawn(arms: Arms, sessions: int) -> list[bool]:
    return [arms.of(f"s{n}") == CHALLENGER for n in range(sessions)]


@given(SALTS, SHARES, st.text(min_size=1, max_size=40))
def test_an_arm_depends_on_salt_share_and_session_alone(salt: str, share: float, session: str):
    arm = Arms(salt, share).of(session)
    assert arm in ARMS
    digest = hashlib.sha256(salt.encode() + b"\0" + session.encode()).hexdigest()
    assert (arm == CHALLENGER) == (int(digest[:16], 16) < share * 2**64)


@given(SALTS, st.text(min_size=1), SHARES, SHARES)
def test_with_a_larger_share_nobody_leaves_the_challenger(salt, session, one, other):
    small, large = sorted((one, other))
    if Arms(salt, small).of(session) == CHALLENGER:
        assert Arms(salt, large).of(session) == CHALLENGER
    assert Arms(salt, 0.0).of(session) == CHAMPION
    assert Arms(salt, 1.0).of(session) == CHALLENGER


@given(SALTS, st.sampled_from([0.01, 0.1, 0.5, 0.9]))
@settings(max_examples=15, deadline=None)
def test_the_share_is_what_was_asked_for(salt: str, share: float):
    n = 2000
    off = sum(drawn(Arms(salt, share), n)) - n * share
    # Six standard errors of a binomial count.
    assert abs(off) < 6 * math.sqrt(n * share * (1 - share))


@given(SALTS, SALTS)
@settings(max_examples=15, deadline=None)
def test_another_salt_draws_anew(one: str, other: str):
    n = 2000
    first, second = drawn(Arms(one, 0.5), n), drawn(Arms(other, 0.5), n)
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert same == n if one == other else abs(same - n / 2) < 6 * math.sqrt(n / 4)


def test_another_process_draws_the_same():
    """A hash that each process salts for itself would not."""
    code = (
        "from session_rec.experiment_arms import Arms;"
        "print(''.join(Arms('autumn', 0.3).of(f's{n}')[4] for n in range(200)))"
    )
    command = [sys.executable, "-c", code]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert text == "".join(Arms("autumn", 0.3).of(f"s{n}")[4] for n in range(200))
    assert set(text) == {"p", "l"}
