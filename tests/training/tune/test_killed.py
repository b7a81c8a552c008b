"""Searches that are killed by signal 9 and started again: the trials of one that never was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .conftest import PLANTED, write_sessions

ROOT = Path(__file__).resolve().parents[3]
#: The last one is not drawn evenly any more.
TRIALS = 7
_CHILD = """
    import json, os, signal, sys
    from pathlib import Path
    from session_rec.config import parse_config
    from session_rec.evaluation import evaluate
    from training.tune import job, runner
    from training.tune.config import TuneConfig
    from training.tune.space import Dimension
    from training.tune.study import Study
    from training.tune.journal import JournalFile

    # Drawing intervals takes longer than all else on this shop.
    evaluate.session_intervals = lambda *arguments, **named: {}
    settings, kills = json.loads(sys.argv[1])
    config = parse_config(settings, TuneConfig, "tune.toml")

    def run(name):
        report = job.tune(Path("shop.parquet"), Path(name), config).to_dict()
        for trial in report["models"][0]["all_trials"]:
            del trial["seconds"]
        return report["models"][0]["all_trials"]

    def kill_at(place, count):
        '''Signal 9 to this very process when it comes to a place for the count-th time.'''
        def counted(whole):
            left = [count]
            def call(*arguments, **named):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return whole(*arguments, **named)
            return call
        if place == "write":
            def half(journal, logs):
                left[0] -= 1
                if left[0] == 0:
                    line = json.dumps(logs[0])
                    with journal._path.open("a") as f:
                        f.write(line[: len(line) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                whole(journal, logs)
            left, whole = [count], JournalFile.append_logs
            JournalFile.append_logs = half
            return
        owner, name = {"suggest": (Dimension, "suggest"), "score": (runner, "score_settings"),
                       "done": (Study, "done"), "ended": (Study, "ended")}[place]
        setattr(owner, name, counted(getattr(owner, name)))

    out = {"whole": run("whole")}
    for name, places in kills.items():
        # One process pays for imports; what is killed is a fork of it.
        for place, count in places:
            child = os.fork()
            if child == 0:
                kill_at(place, count)
                run(name)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code == -signal.SIGKILL, (name, place, code)
        out[name] = run(name)
    print(json.dumps(out))
"""

#: Where the process is killed for the count-th time it comes there; then it is started again.
KILLS = {
    "before the first trial is trained": [("score", 1)],
    "between two settings of the third": [("suggest", 6)],
    # The seventh is drawn by what came of those before; a killed one must not count among them.
    "in the sixth, twice": [("score", 6), ("score", 1)],
    "between the figures of the fourth and its end": [("done", 4)],
    "in the middle of a write": [("write", 2), ("write", 30), ("write", 17)],
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The trials of a whole search and of killed ones."""
    folder = tmp_path_factory.mktemp("killed")
    write_sessions(folder / "shop.parquet", PLANTED)
    settings = {"models": {"sequential-rules": {}}, "trials": TRIALS}
    settings["models"]["sequential-rules"]["space"] = {
        "decay": {"low": 0.1, "high": 1.0},
        "newest_n": {"low": 1, "high": 5},
        "steps": {"choices": [1, 2, 10]},
    }
    (folder / "child.py").write_text(textwrap.dedent(_CHILD))
    done = subprocess.run(
        [sys.executable, "child.py", json.dumps([settings, KILLS])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_search_that_is_started_again_has_the_same_trials(killed, name):
    assert killed[name] == killed["whole"]


def test_a_whole_search_tries_other_settings_each_time(killed):
    tried = {json.dumps(t["values"]) for t in killed["whole"]}
    assert len(tried) == TRIALS
