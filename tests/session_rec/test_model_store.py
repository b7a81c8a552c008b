"""A store of models: one pointer, one truth, and nothing pointed at that cannot serve."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from session_rec import model_pointer
from session_rec.certificate import Certificate, Check
from session_rec.cli import build_app
from session_rec.errors import BundleError
from session_rec.manifest import fingerprint
from session_rec.model_pointer import Release, first_pointer, locked, read_pointer, write_pointer
from session_rec.model_store import ModelStore
from session_rec.predictors.popularity import Popularity
from session_rec.probe import probe
from session_rec.recommender import Recommender
from session_rec.toy import toy_directory, toy_recommender

PASSED = Certificate({"future": Check("passed", "fine")}, seed=1)
NAMES = ("monday", "tuesday", "wednesday")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Three models with a certificate, none promoted."""
    for n, name in enumerate(NAMES):
        clicks = "pear plum " + "fig " * (n + 1)
        shutil.copytree(toy_directory(clicks, leakage=PASSED), tmp_path / "store" / name)
    return ModelStore(tmp_path / "store")


def prints(store: ModelStore) -> dict[str, str]:
    return {name: fingerprint(store.directory / name) for name in NAMES}


def current(store: ModelStore) -> str | None:
    pointer = store.pointer()
    return None if pointer is None else pointer.current.name


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([*NAMES, "back"]), max_size=12))
def test_the_pointer_is_a_stack_of_promotions(tmp_path_factory, operations):
    store = tmp_path_factory.mktemp("store")
    stack: list[str] = []
    for revision, operation in enumerate(operations, 1):
        before = read_pointer(store)
        if operation != "back":
            release = Release(operation, operation[0] * 16)
            after = before.then(release) if before else first_pointer(release)
            stack += [operation] if stack[-1:] != [operation] else []
        elif before is not None and before.previous is not None:
            after = before.back()
            stack.pop()
        else:
            break
        write_pointer(store, after)
        read = read_pointer(store)
        assert read is not None and read.current.name == stack[-1]
        assert [r.name for r in read.history] == stack
        assert (read.revision, read.rolled_back) == (revision, operation == "back")


def test_old_promotions_are_forgotten_and_the_newest_stay():
    pointer = first_pointer(Release("0", "f" * 16))
    for n in range(1, 200):
        pointer = pointer.then(Release(str(n), "f" * 16))
    assert [r.name for r in pointer.history] == [str(n) for n in range(150, 200)]


def test_a_model_is_named_by_name_or_fingerprint(store: ModelStore):
    found = prints(store)
    assert store.promote("monday").current == Release("monday", found["monday"])
    assert store.promote(found["tuesday"]).current.name == "tuesday"
    assert store.promote(found["wednesday"][:8]).current.name == "wednesday"
    for wrong in ("friday", found["monday"][:5], "", "../store/monday", ".", "/"):
        with pytest.raises(BundleError, match="has no model"):
            store.promote(wrong)
    assert current(store) == "wednesday"


def test_rollback_goes_to_the_one_before_and_no_further(store: ModelStore):
    with pytest.raises(BundleError, match="nothing to go back to"):
        store.rollback()
    for name in ("monday", "tuesday", "tuesday"):
        store.promote(name)
    assert store.rollback().current.name == "monday"
    with pytest.raises(BundleError, match="there is none before it"):
        store.rollback()
    assert current(store) == "monday"
    again = store.pointer()
    assert again is not None and again.rolled_back and again.revision == 4


@pytest.mark.parametrize("file", ["catalog.json", "weights.safetensors", "manifest.json"])
def test_a_changed_byte_is_refused_and_the_pointer_stays(store: ModelStore, file: str):
    store.promote("monday")
    damage(store.directory / "tuesday" / file)
    with pytest.raises(BundleError, match="tuesday"):
        store.promote("tuesday")
    store.promote("wednesday")
    damage(store.directory / "monday" / file)
    with pytest.raises(BundleError, match="the model before wednesday cannot serve: .*monday"):
        store.rollback()
    assert current(store) == "wednesday"


def test_a_model_put_under_a_promoted_name_is_another_one(store: ModelStore):
    store.promote("monday")
    pointer = store.pointer()
    assert pointer is not None
    shutil.rmtree(store.directory / "monday")
    shutil.copytree(store.directory / "tuesday", store.directory / "monday")
    with pytest.raises(BundleError, match="promote it again"):
        store.load(pointer.current)
    assert "was promoted" in next(m for m in store.models() if m.current).problem
    shutil.rmtree(store.directory / "monday")
    assert "is not there" in next(m for m in store.models() if m.current).problem


def test_no_certificate_or_a_failed_one_is_refused(store: ModelStore):
    shutil.copytree(toy_directory("pear kiwi"), store.directory / "bare")
    failed = Certificate({"future": Check("failed", "it looks ahead")}, seed=1)
    shutil.copytree(toy_directory("pear", leakage=failed), store.directory / "failed")
    for name, words in (("bare", "no leakage certificate"), ("failed", "failed its leakage")):
        with pytest.raises(BundleError, match=words):
            store.promote(name)
        assert current(store) is None
        assert store.promote(name, uncertified=True).current.name == name
        (store.directory / model_pointer.POINTER).unlink()
    told = {m.name: m.certificate for m in store.models()}
    assert (told["bare"], told["failed"], told["monday"]) == ("none", "failed", "passed")


def test_a_model_that_cannot_answer_is_refused():
    toy = toy_recommender("pear plum fig")
    for scores, words in (([1, np.nan, 2], "NaN"), ([1, np.inf, 2], "NaN or infinite")):
        model = Popularity(np.array(scores, np.float32))
        with pytest.raises(BundleError, match=words):
            probe(Recommender(toy.catalog, model, toy.rules))

    class Broken(Popularity):
        def score(self, contexts):
            raise ZeroDivisionError("no")

    with pytest.raises(BundleError, match="cannot be asked .ZeroDivisionError: no"):
        probe(Recommender(toy.catalog, Broken(np.ones(3, np.float32)), toy.rules))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"\xff", b"[]",
        b'{"format":2,"revision":1,"rolled_back":false,"history":[{"name":"a","fingerprint":"b"}]}',
        b'{"format":1,"revision":1,"rolled_back":false,"history":[]}',
        b'{"format":1,"revision":1,"rolled_back":false,"history":[{"name":"../a","fingerprint":""}]}',
        b'{"format":1,"revision":1,"rolled_back":false,"history":[{"name":"..","fingerprint":"b"}]}',
    ],
)  # fmt: skip
def test_a_pointer_that_is_none_is_told(store: ModelStore, content: bytes):
    path = store.directory / model_pointer.POINTER
    path.write_bytes(content)
    for ask in (store.pointer, store.rollback, lambda: store.promote("monday"), store.models):
        with pytest.raises(BundleError, match="does not point at a model"):
            ask()
    assert path.read_bytes() == content


@pytest.mark.parametrize("function", ["fsync", "chmod", "rename"])
def test_a_crash_at_any_step_leaves_the_old_pointer_or_the_new_one(
    store: ModelStore, function: str, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    store.promote("monday")
    real = getattr(os, function)
    for after in (False, True):

        def dies(*args, _after=after, **options):
            if _after:
                real(*args, **options)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(os, function, dies)
            with pytest.raises(Killed):
                store.promote("tuesday")
        expected = "tuesday" if function == "rename" and after else "monday"
        assert current(store) == expected
        store.promote("monday")
        assert current(store) == "monday"


_PROMOTES = """
import sys
from pathlib import Path
from session_rec.model_store import ModelStore
store = ModelStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[2].split(","):
    store.promote(name)
"""


def test_processes_that_promote_at_once_lose_no_promotion(store: ModelStore):
    orders = [("monday", "tuesday") * 5, ("tuesday", "wednesday") * 5, ("wednesday",) * 10]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROMOTES, str(store.directory), ",".join(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for order in orders
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    known, newest = prints(store), 0
    while any(process.poll() is None for process in processes):
        pointer = store.pointer()
        if pointer is not None:
            assert pointer.revision >= newest
            newest = pointer.revision
            assert all(known[r.name] == r.fingerprint for r in pointer.history)
    assert [process.wait() for process in processes] == [0, 0, 0]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    pointer = store.pointer()
    assert pointer is not None and pointer.revision == 30
    names = [r.name for r in pointer.history]
    assert all(a != b for a, b in pairwise(names))
    assert not [p for p in store.directory.iterdir() if p.suffix == ".tmp"]


def test_a_killed_process_leaves_no_lock(store: ModelStore):
    holds = (
        "import sys, time; from pathlib import Path; from session_rec.model_pointer import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holds, str(store.directory)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.kill()
    process.wait()
    process.stdout.close()
    with locked(store.directory):
        pass
    assert store.promote("monday").current.name == "monday"


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), ["models", *words], env={"COLUMNS": "160"})
    return result.exit_code, result.output + str(result.exception or "")


def test_the_commands(store: ModelStore, tmp_path: Path):
    at, table = str(store.directory), tmp_path / "models.json"
    assert "No model is current" in run("list", at)[1]
    assert run("promote", at, "monday")[0] == 0
    code, said = run("promote", at, "tuesday")
    assert code == 0 and "current: tuesday" in said and "was monday" in said
    (store.directory / "thursday").mkdir()
    (store.directory / "thursday" / "manifest.json").write_bytes(b"{")
    code, said = run("list", at, "--json", str(table))
    assert code == 0 and "thursday" in said and "not a manifest" in said
    told = {m["name"]: m for m in json.loads(table.read_bytes())}
    assert [n for n in told if told[n]["current"]] == ["tuesday"]
    assert [n for n in told if told[n]["previous"]] == ["monday"]
    assert {n: told[n]["fingerprint"] for n in NAMES} == prints(store)
    assert told["monday"]["bytes"] == sum(
        f.stat().st_size for f in (store.directory / "monday").iterdir()
    )
    assert (told["monday"]["kind"], told["monday"]["items"]) == ("popularity", 3)
    assert told["thursday"]["problem"] and not told["thursday"]["fingerprint"]
    code, said = run("rollback", at)
    assert code == 0 and "current: monday" in said
    for words, sentence in (
        (("rollback", at), "there is none before it"),
        (("promote", at, "friday"), "has no model 'friday'"),
        (("promote", at, "thursday"), "not a manifest"),
        (("list", str(tmp_path / "nothing")), "is not there"),
        (("promote", at + "/monday", "monday"), "is a model, not a model store"),
    ):
        code, said = run(*words)
        assert code != 0 and sentence in said


def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "session_rec.cli", "models", "rollback", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


def test_other_session_rules_are_told_at_promotion(store: ModelStore):
    from session_rec.bundle import save_bundle
    from session_rec.sessions import SessionRules

    toy = toy_recommender("pear plum")
    save_bundle(
        store.directory / "short",
        toy.catalog,
        toy.predictor,
        SessionRules(max_length=3),
        data_fingerprint="0",
        leakage=PASSED,
    )
    assert "session rules" not in run("promote", str(store.directory), "monday")[1]
    assert "session rules" not in run("promote", str(store.directory), "tuesday")[1]
    code, said = run("promote", str(store.directory), "short")
    assert code == 0 and "session rules are not those" in said
