"""Files are replaced whole or stay as they were."""

import os

import pytest

from merit.training.results.atomic import atomic_write


def test_a_file_gets_its_name_and_the_usual_permissions_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.json"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stands_and_no_temporary_one(tmp_path, error):
    path = tmp_path / "file.json"
    path.write_text("old")

    def write():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_two_writers_of_one_path_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "file.json"
    with atomic_write(path) as first:
        with atomic_write(path) as second:
            assert first != second
            second.write_text("second")
        first.write_text("first")
    assert path.read_text() == "first"
