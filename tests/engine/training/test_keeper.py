"""States in a folder, on this machine and on S3; Ray Train's keeping is seen in test_energynet.py."""

from pathlib import Path

import pytest

from attn.engine.training.keeper import FolderKeeper
from attn.errors import UsageError
from attn.storage.filesystem import join, open_filesystem
from attn.storage.listing import names_in


@pytest.fixture(params=["local", "s3"])
def url(request, tmp_path):
    return str(tmp_path / "run") if request.param == "local" else join(request.getfixturevalue("s3"), "run")


def saver(text):
    def save(folder: Path) -> None:
        assert not list(folder.iterdir())
        (folder / "state.json").write_text(text)
        (folder / "weights").write_bytes(b"w" + text.encode())

    return save


def held(url):
    with FolderKeeper(url).restored() as folder:
        return folder and {file.name: file.read_text() for file in folder.iterdir()}


def test_nothing_was_kept(url):
    assert held(url) is None


def test_the_newest_state_comes_back_and_older_ones_are_removed(url):
    keeper = FolderKeeper(url, every_s=0)
    for update in (5, 10, 15):
        keeper.keep({"update": update}, saver(str(update)))
        assert held(url) == {"state.json": str(update), "weights": f"w{update}"}
    assert sorted(names_in(*open_filesystem(url))) == ["newest.txt", "update-000000015"]


def test_states_are_written_every_few_seconds_only(url):
    keeper = FolderKeeper(url, every_s=3600)
    keeper.keep({"update": 5}, saver("5"))
    assert held(url) is None


def test_a_state_that_was_not_written_to_its_end_does_not_count(url):
    keeper = FolderKeeper(url, every_s=0)
    keeper.keep({"update": 5}, saver("5"))

    def half(folder: Path) -> None:
        (folder / "state.json").write_text("10")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keeper.keep({"update": 10}, half)
    fs, path = open_filesystem(join(url, "update-000000010", "state.json"))
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, b"left by a killed process")
    assert held(url) == {"state.json": "5", "weights": "w5"}
    FolderKeeper(url, every_s=0).keep({"update": 10}, saver("10 again"))
    assert held(url) == {"state.json": "10 again", "weights": "w10 again"}


def test_a_damaged_name_is_refused(tmp_path):
    (tmp_path / "newest.txt").write_text("../../elsewhere")
    with pytest.raises(UsageError, match=r"newest\.txt is damaged"), FolderKeeper(str(tmp_path)).restored():
        pass
