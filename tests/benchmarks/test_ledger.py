import pytest

from benchmarks import ledger
from session_rec.errors import DataError


def entry(**changes):
    return {"data_fingerprint": "d", "kind": "vmis-knn", "config_hash": "h", **changes}


def test_reads_count_recipes_and_kinds_of_one_data_set(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert ledger.reads("d", "vmis-knn", "h", path) == (0, 0)
    for e in (
        entry(seed=1), entry(seed=2), entry(config_hash="i"), entry(kind="item2vec"),
        entry(data_fingerprint="e"),
    ):  # fmt: skip
        ledger.append(e, path)
    assert ledger.reads("d", "vmis-knn", "h", path) == (2, 3)


def test_the_commit_of_the_checkout_is_named():
    assert set(ledger.commit()) == {"commit", "dirty"}


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"kind": "a"}\noops\n')
    with pytest.raises(DataError, match="line 2"):
        ledger.read(path)


def test_the_committed_ledger_can_be_read():
    for e in ledger.read():
        assert {"commit", "config_hash", "seed", "hr20", "mrr20", "positions"} <= set(e)
