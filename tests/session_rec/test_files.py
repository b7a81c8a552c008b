"""Files and directories appear whole or not at all."""

import pytest

from session_rec.errors import DataError
from session_rec.files import new_directory, write_file


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new" / "file"
    write_file(target, b"one")
    write_file(target, b"two")
    assert target.read_bytes() == b"two"
    assert list(target.parent.iterdir()) == [target]


def test_a_directory_appears_when_its_block_ends_well(tmp_path):
    target = tmp_path / "model"
    with new_directory(target) as directory:
        (directory / "a").write_text("old")
        assert not target.exists()
    with pytest.raises(KeyError), new_directory(target, replace=True) as directory:
        (directory / "a").write_text("new")
        raise KeyError
    assert (target / "a").read_text() == "old"
    with pytest.raises(DataError, match="is already there"), new_directory(target):
        pass
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file/x cannot be written"):
        write_file(tmp_path / "file" / "x", b"")
    with pytest.raises(DataError, match="cannot be written"):
        write_file(tmp_path, b"")
    with (
        pytest.raises(DataError, match="file/x cannot be written"),
        new_directory(tmp_path / "file" / "x"),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
