"""Runs that are killed by signal 9 in the middle and go on: the same report to the byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .conftest import days, write_log

ROOT = Path(__file__).resolve().parents[3]
#: a, b, c go round; d joins them on the second day; e, on the third, is never trained on.
SHOP = days(
    ["abc", "bca", "cab"] * 8,
    ["abcd", "bcda", "cdab", "dabc"] * 6,
    ["abcde", "cdeab", "eab"],
)
TINY = {
    "d_model": 8,
    "n_heads": 2,
    "n_layers": 1,
    "max_length": 5,
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "threads": 1,
}
_CHILD = """
    import json, os, signal, sys
    from pathlib import Path
    from session_rec.certificate import Certificate
    from training import train
    from training.rolling import chain, job
    from training.rolling.config import RollingConfig
    from training.rolling.steps import Step
    from training.transformer import loop

    # The leakage certificate is of no interest here, and takes seconds.
    train.certify = lambda *arguments, **named: Certificate({}, seed=1)

    def killed_at(place, count):
        '''Signal 9 to this very process when it comes to a place for the count-th time.'''
        owner, name = {"score": (Step, "set_scored"), "weights": (Step, "save_weights"),
                       "model": (chain, "write_model"), "trained": (Step, "set_trained"),
                       "step": (loop.TrainingRun, "_step"), "forget": (Step, "forget_model")}[place]
        whole, left = getattr(owner, name), [count]
        def counted(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(*arguments, **named)
        setattr(owner, name, counted)

    settings, runs = json.loads(sys.argv[1])
    def run(name, kind):
        return job.roll(RollingConfig(**settings, run_dir=Path(name)), [kind]).to_dict()

    out = {kind: run("whole", kind) for kind in settings["models"]}
    for name, kind, place, count in runs:
        # One process pays for imports; what is killed is a fork of it.
        child = os.fork()
        if child == 0:
            killed_at(place, count)
            run(name, kind)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # Such as "2 trained", of the second window.
        there = [f"{p.parent.name[9]} {p.name[:7].rstrip('-')}" for p in Path(name).rglob("*.json")
                 if p.name.startswith(("scored", "trained"))]
        out[name] = {"code": code, "there": there, "report": run(name, kind)}
    print(json.dumps(out))
"""


#: Which run is killed: what it is about to do for the count-th time; then what is whole.
KILLS = {
    "before the second score is kept": ("popularity", "score", 2, ["1 scored", "2 trained"]),
    # 10 steps in the first window, 12 in the second.
    "within the second epoch of the second window": (
        *("transformer", "step", 18),
        ["1 scored", "1 trained"],
    ),
    "between weights and model of the second window": (
        *("item2vec", "model", 2),
        ["1 scored", "1 trained"],
    ),
    "before the second model is said to be whole": (
        *("item2vec", "trained", 2),
        ["1 scored", "1 trained"],
    ),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Reports of a whole run and of killed ones that were started again, with what was left."""
    folder = tmp_path_factory.mktemp("killed")
    settings = {
        "data": str(write_log(folder / "log.parquet", SHOP)),
        "session_rules": {"name": "pairs"},
        "models": {
            "popularity": {},
            "transformer": TINY,
            "item2vec": {"vector_size": 4, "epochs": 2},
        },
        "validation": 0.25,
    }
    runs = [(name, *kill[:3]) for name, kill in KILLS.items()]
    (folder / "child.py").write_text(textwrap.dedent(_CHILD))
    done = subprocess.run(
        [sys.executable, "child.py", json.dumps([settings, runs])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), folder


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_run_that_is_started_again_gives_the_same_report(killed, name):
    out, _ = killed
    assert out[name]["code"] == -signal.SIGKILL
    kind, _, _, there = KILLS[name]
    assert sorted(out[name]["there"]) == there
    assert json.dumps(out[name]["report"]) == json.dumps(out[kind])


def test_the_chain_went_on_from_window_to_window(killed):
    out, folder = killed
    ((transformer,), (item2vec,)) = (out[kind]["models"] for kind in ("transformer", "item2vec"))
    for model in (transformer, item2vec):
        assert [w["trained"]["warm_start"] for w in model["windows"]] == [False, True]
        assert [w["trained"]["items"] for w in model["windows"]] == [3, 4]
    # 18 of 24 sessions; the 6 that stopped it and 18 of 24.
    assert [w["trained"]["sessions"] for w in transformer["windows"]] == [18, 24]
    assert [w["trained"]["sessions"] for w in item2vec["windows"]] == [24, 24]
    # What is left of a finished run: each score, and the newest model of each kind.
    left = [p.relative_to(folder / "whole").parts for p in (folder / "whole").rglob("*.json")]
    assert sum(p[-1].startswith("scored") for p in left) == 6
    assert sum(p[-1] == "trained.json" for p in left) == 3
    assert not list((folder / "whole").rglob("checkpoints"))
