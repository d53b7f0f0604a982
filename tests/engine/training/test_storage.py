import pickle
import resource

import pytest
from pyarrow.fs import copy_files

from attn.engine.training.storage import ray_storage


@pytest.fixture
def storage(tmp_path):
    fs, path = ray_storage(str(tmp_path))
    return pickle.loads(pickle.dumps(fs)), path, tmp_path  # noqa: S301 (Ray sends it so)


def test_an_overwritten_file_keeps_its_old_text_until_the_new_one_is_whole(storage):
    fs, path, folder = storage
    file = folder / "record.json"
    file.write_text("old")
    with fs.open_output_stream(f"{path}/record.json") as stream:
        stream.write(b"new and")
        assert file.read_text() == "old"
        stream.write(b" longer")
    assert file.read_text() == "new and longer"
    assert [found.name for found in folder.iterdir()] == ["record.json"]


def test_a_write_that_fails_leaves_the_old_file(storage):
    fs, path, folder = storage
    file = folder / "record.json"
    file.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as on a disk with room for 1000 bytes
    try:
        with pytest.raises(OSError, match="too large"), fs.open_output_stream(f"{path}/record.json") as stream:
            stream.write(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_text() == "old"
    assert [found.name for found in folder.iterdir()] == ["record.json"]


def test_folders_copy_and_vanish_whole(storage, tmp_path):
    fs, path, folder = storage
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights").write_bytes(bytes(range(256)) * 40_000)
    fs.create_dir(f"{path}/run/checkpoint")
    copy_files(str(source), f"{path}/run/checkpoint", destination_filesystem=fs, chunk_size=1 << 20)
    assert (folder / "run/checkpoint/weights").read_bytes() == (source / "weights").read_bytes()
    fs.delete_dir(f"{path}/run/checkpoint")
    assert not (folder / "run/checkpoint").exists()
