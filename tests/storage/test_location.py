"""Every storage through one class, with errors in one line."""

import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import s3fs

from attn.errors import UsageError, VideoError
from attn.storage.filesystem import join, storage_errors
from attn.storage.listing import list_files, names_in
from attn.storage.location import Location


@pytest.fixture(params=["local", "file", "s3", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty folder on each kind of storage."""
    if request.param == "s3":
        return join(request.getfixturevalue("s3"), "some folder")
    return {
        "local": str(tmp_path),
        "file": f"file://{tmp_path}",
        "memory": f"memory://{tmp_path.name}",
    }[request.param]


@pytest.mark.parametrize("name", ["a.txt", "deep/er/b c.txt", "Größe-操作.txt"])
def test_what_is_written_is_read_again(folder, name):
    path = Location.at(folder) / name
    path.write_atomic("Grüße\n".encode())
    path.write_atomic(b"zweite\n")
    assert path.read_text() == "zweite\n"
    assert path.read_bytes(2, 4) == b"ei"
    assert path.read_bytes(5, 99) == b"e\n"
    assert [(os.path.basename(file.path), file.size) for file in list_files(Location.at(folder))] == [
        (os.path.basename(name), 7)
    ]


def test_a_url_survives_the_round_trip(folder):
    path = Location.at(folder) / "a.txt"
    again = Location.at(path.absolute)
    assert (type(again.fs), again.path, again.absolute) == (type(path.fs), path.path, path.absolute)


def test_what_others_write_is_seen_at_once(s3):
    folder = Location.at(s3)
    (folder / "a.txt").write_atomic(b"a")
    assert names_in(folder) == ["a.txt"]
    s3fs.S3FileSystem(anon=True).pipe_file(f"{folder.path}/b.txt", b"another client's")
    assert sorted(names_in(folder)) == ["a.txt", "b.txt"]
    assert (folder / "b.txt").exists()


def test_local_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Location.at("clips/../a b#1?.avi")
    assert path.is_local
    assert path.path == path.absolute == str(tmp_path / "a b#1?.avi")
    assert str(path) == "clips/../a b#1?.avi"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "a path is empty"),
        ("foo://x/y", "foo"),
        ("s3://", "the bucket is missing"),
    ],
)
def test_no_storage(url, complaint):
    with pytest.raises(UsageError, match=complaint):
        Location.at(url)


@pytest.mark.parametrize("folder", ["local", "s3"], indirect=True)
def test_missing_file_is_named(folder):
    url = join(folder, "nothing.txt")
    with pytest.raises(UsageError, match=r"nothing\.txt: does not exist"):
        Location.at(url).read_text()


def test_text_must_be_utf8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfok")
    assert Location.at(str(path)).read_text() == "ok"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        Location.at(str(path)).read_text()


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        Location.at(str(tmp_path)).read_text()


def test_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    path = Location.at(str(tmp_path / "file" / "a.txt"))
    with pytest.raises(UsageError, match="a file exists where a folder is needed"):
        path.write_atomic(b"")


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAKEY:secret@bucket/x",
        "s3a://AKIAKEY:sec/ret@bucket/x",
        "s3://AKIAKEY:secret/x",
        "s3://secret@bucket/x",
        "simplecache::s3://AKIAKEY:secret@bucket/x",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url):
    with pytest.raises(UsageError, match=r"/x: a URL must not contain credentials.* set AWS_ACCESS_KEY_ID") as error:
        Location.at(url)
    for secret in ("KEY:", "secret", "sec/", "ret@"):
        assert secret not in str(error.value).replace("AWS_ACCESS_KEY_ID", "").replace("AWS_SECRET_ACCESS_KEY", "")


def test_missing_bucket(s3):
    url = "s3://attn-no-such-bucket/folder"
    path = Location.at(url)
    with pytest.raises(UsageError, match="bucket does not exist"), storage_errors(url):
        list_files(path)
    with pytest.raises(UsageError, match="bucket does not exist"), storage_errors(url):
        names_in(path)
    with pytest.raises(UsageError, match="bucket does not exist"):
        path.write_atomic(b"x")


def test_bucket_name_that_cannot_be(s3):
    with pytest.raises(UsageError, match="s3://A!/x: "), storage_errors("s3://A!/x"):
        list_files(Location.at("s3://A!/x"))


def test_no_credentials(s3, monkeypatch, forget_s3_clients):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_s3_clients()
    with pytest.raises(UsageError, match="no credentials found; set AWS_ACCESS_KEY_ID"), storage_errors(s3):
        list_files(Location.at(s3))


def test_access_denied(s3, act_as):
    someone = act_as(["s3:GetBucketLocation"])
    url = join(s3, "folder/a.txt")
    path = Location.at(url)
    for work in (list_files, names_in, Location.read_bytes):
        with pytest.raises(UsageError, match=r"a\.txt: access denied") as error, storage_errors(url):
            work(path)
        assert not any(secret in str(error.value) for secret in (someone.key, someone.secret))
    with pytest.raises(UsageError, match=r"a\.txt: access denied"):
        path.write_atomic(b"x")


def test_storage_out_of_reach(s3, monkeypatch, forget_s3_clients):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        forget_s3_clients()
        with pytest.raises(UsageError, match="cannot be reached; check AWS_ENDPOINT_URL"), storage_errors(s3):
            list_files(Location.at(s3))


def test_other_errors_keep_their_traceback_and_videos_their_own_kind():
    with pytest.raises(ZeroDivisionError), storage_errors("x"):
        _ = 1 / 0
    with pytest.raises(VideoError, match=r"^x: permission denied$"), storage_errors("x", VideoError):
        raise PermissionError(13, "no")
    with pytest.raises(UsageError, match=r"^/x: permission denied \(/x/closed\)\. Change"), storage_errors("/x"):
        raise PermissionError(13, "no", "/x/closed")
    with pytest.raises(UsageError, match=r"^/x: permission denied\. Change"), storage_errors("/x"):
        raise PermissionError(13, "no", "/x")


def test_a_failing_block_leaves_what_stood_there(folder):
    path = Location.at(folder) / "a.txt"
    path.write_atomic(b"old")
    with pytest.raises(IndexError), path.atomic_path() as scratch:
        [scratch.write_bytes(b"half")].pop(1)
    assert path.read_bytes() == b"old"
    assert names_in(Location.at(folder)) == ["a.txt"]


def test_a_block_without_a_file_leaves_nothing(folder):
    path = Location.at(folder) / "a.txt"
    with path.atomic_path():
        pass
    assert not path.exists()


def test_a_large_file_is_one_upload(s3, monkeypatch):
    monkeypatch.setattr("attn.storage.filesystem.UPLOAD_PART_BYTES", 5 << 20)
    content = os.urandom(11 << 20)
    path = Location.at(s3) / "large"
    with path.atomic_path() as scratch:
        scratch.write_bytes(content)
        assert not path.exists()
    assert path.read_bytes() == content


def test_killed_writer_leaves_the_old_file(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from attn.storage.location import Location\n"
        "with Location.at(sys.argv[1]).atomic_path() as scratch:\n"
        "    scratch.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert [os.path.basename(file.path) for file in list_files(Location.at(str(tmp_path)))] == ["a.txt"]


def test_files_get_the_usual_mode(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    Location.at(str(tmp_path / "ours")).write_atomic(b"")
    assert (tmp_path / "ours").stat().st_mode == usual.stat().st_mode


def test_parts_of_a_location(folder):
    place = Location.at(folder)
    inside = place / "deep/a.txt"
    assert inside.name == "a.txt"
    assert str(inside) == inside.url == f"{folder}/deep/a.txt"
    assert inside.path == f"{place.path}/deep/a.txt"
    assert place.at_path(inside.path).absolute == inside.absolute


def test_a_location_is_a_value_that_may_go_to_another_process(folder):
    place = Location.at(folder) / "a.txt"
    place.write_atomic(b"a")
    sent = pickle.loads(pickle.dumps(place))  # noqa: S301 (as Ray sends it)
    assert {sent, place} == {Location.at(folder) / "a.txt"}
    assert sent.read_bytes() == b"a"
