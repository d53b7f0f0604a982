"""Storage of Ray Train on a local disk and on S3, and the check of it by a worker."""

import pickle
import secrets

import pyarrow.fs
import pytest

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.storage import check_storage, ray_storage


@pytest.fixture(params=["local", "s3"])
def url(request, tmp_path):
    return join(str(tmp_path) if request.param == "local" else request.getfixturevalue("s3"), "cnn.train")


def test_what_ray_does_there(url):
    fs, path = ray_storage(url)
    fs = pickle.loads(pickle.dumps(fs))  # noqa: S301 (as Ray sends it)
    marker = f"{path}/run/.marker"
    fs.create_dir(f"{path}/run")
    assert fs.get_file_info(marker).type == pyarrow.fs.FileType.NotFound
    with fs.open_output_stream(marker):
        pass
    fs.create_dir(f"{path}/run")
    assert fs.get_file_info(marker).type == pyarrow.fs.FileType.File
    assert Location.at(url).fs.exists(marker)


def begin(url):
    path = Location.at(url) / "run.json"
    path.write_atomic(b"{}")


def test_a_worker_that_does_not_see_the_folder(url):
    with pytest.raises(UsageError, match=r"cnn\.train: not visible on all machines"):
        check_storage(url)
    begin(url)
    check_storage(url)


def test_a_worker_that_may_not_look(s3, monkeypatch, forget_s3_clients):
    url, secret = join(s3, "cnn.train"), secrets.token_hex(8)
    begin(url)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    forget_s3_clients()
    with pytest.raises(UsageError, match="access denied; check the credentials") as error:
        check_storage(url)
    assert secret not in str(error.value)
