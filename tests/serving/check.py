"""Proves the serving install: small, without training libraries, and it serves.

    python tests/serving/check.py DIR

runs in the environment of the base install; DIR is what ``make_model.py`` wrote.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

from session_rec import Recommender

LIMIT_MB = 300
ABSENT = ("torch", "transformers4rec", "transformers", "gensim", "pandas", "pyarrow", "scipy")


def install_is_small(model: Path) -> str:
    root = Path(sysconfig.get_paths()["purelib"])
    skipped = {"pip", "setuptools", "_distutils_hack"}
    files = [
        f for f in root.rglob("*") if f.is_file() and f.relative_to(root).parts[0] not in skipped
    ]
    size = sum(f.stat().st_size for f in files) / 1e6
    assert size < LIMIT_MB, f"{size:.0f} MB"
    return f"{size:.0f} MB installed, below {LIMIT_MB}"


def training_libraries_are_absent(model: Path) -> str:
    found = [name for name in ABSENT if importlib.util.find_spec(name)]
    assert not found, found
    assert int(np.__version__.split(".")[0]) >= 2, np.__version__
    return f"none of {', '.join(ABSENT)}; numpy {np.__version__}"


def models_answer_as_where_they_were_trained(model: Path) -> str:
    known = json.loads((model / "expected.json").read_text())
    for kind, expected in known["models"].items():
        recommender = Recommender.load(model / kind)
        slates = recommender.recommend_many(known["contexts"], k=20)
        want = np.array(expected["scores"], np.float32)
        close = 1e-5 * float(want.max() - want.min())
        np.testing.assert_allclose(slates.scores, want, atol=close, rtol=1e-5)
        for b, items in enumerate(expected["items"]):
            pairs = zip(slates.items(b), items, strict=True)
            swapped = [r for r, (x, y) in enumerate(pairs) if x != y]
            near = np.abs(np.diff(want[b])) <= 2 * close
            assert all(near[max(r - 1, 0) : r + 1].any() for r in swapped), (kind, b)
    return f"{', '.join(known['models'])}: {len(known['contexts'])} contexts"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "session_rec.cli", *arguments], capture_output=True, text=True
    )


def a_daemon_streams(model: Path) -> str:
    said = []
    for kind in ("vmis-knn", "transformer"):
        figures = []
        for through in ([], ["--through-kafka"]):
            with tempfile.TemporaryDirectory() as scratch:
                target = Path(scratch) / "r.json"
                done = command(
                    "replay", "--model", str(model / kind), *through, "--json", str(target),
                    "--sessions", str(model / "sessions.parquet"), "--rate", "500",
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
                figures.append(json.loads(target.read_text()))
        here, live = figures
        assert live["missing"] == 0
        assert here["metrics"] == live["metrics"]
        assert live["metrics"]["hr@20"] > 0.2
        said.append(f"{kind} HR@20 {live['metrics']['hr@20']:.3f} live as in process")
    return "; ".join(said)


def training_says_what_it_needs(model: Path) -> str:
    done = command("train", "item2vec")
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert "session-rec[train]" in done.stderr, done.stderr
    return done.stderr.strip()


CHECKS = (
    install_is_small,
    training_libraries_are_absent,
    models_answer_as_where_they_were_trained,
    a_daemon_streams,
    training_says_what_it_needs,
)


def main(model: Path) -> int:
    failed = 0
    for check in CHECKS:
        try:
            print(f"ok      {check.__name__}: {check(model)}")
        except Exception as e:
            failed += 1
            print(f"FAILED  {check.__name__}: {type(e).__name__}: {e}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
