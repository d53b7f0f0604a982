"""Listings that miss nothing, show nothing hidden and ask little."""

import os

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.ledger import Ledger
from attn.storage.listing import glob_files, list_files, names_in
from attn.storage.location import Location
from tests.stores import new_manifest


@pytest.fixture(params=["local", "s3", "memory"])
def folder(request, tmp_path):
    """URL of an empty folder on each kind of storage."""
    if request.param == "s3":
        return join(request.getfixturevalue("s3"), "some folder")
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def test_listing_passes_over_what_is_no_plain_file(tmp_path):
    for name in ["a.avi", "deep/er/b.avi", ".hidden.avi", ".git/c.avi"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"123")
    os.mkfifo(tmp_path / "pipe.avi")
    (tmp_path / "dangling.avi").symlink_to("nowhere")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "deep" / "er")
    found = {os.path.relpath(path, tmp_path): size for path, size in list_files(Location.at(str(tmp_path)))}
    assert found == {"a.avi": 3, "deep/er/b.avi": 3, "linked/b.avi": 3, "dangling.avi": None}


def test_s3_listing_takes_one_request_per_thousand_files(s3, caplog):
    caplog.set_level("INFO", logger="werkzeug")
    path = Location.at(s3) / "many"
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # the server's own memory: 1100 uploads would take seconds
    keys = [f"many/class{number % 7}/video {number}.avi" for number in range(1100)]
    for key in [*keys, "many/.hidden/a.avi", "many/class0/", "many2/other.avi"]:
        bucket.put_object(s3.removeprefix("s3://"), key, b"x")
    caplog.clear()
    found = list_files(path)
    requests = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
    assert len(found) == len({file.path for file in found}) == 1100
    assert len(requests) == 2, requests


def test_names_in_a_folder_that_is_not_there(folder):
    path = Location.at(folder) / "nothing"
    assert names_in(path) == []
    (path / "a.txt").write_atomic(b"x")
    (path / "deep/b.txt").write_atomic(b"x")
    assert sorted(names_in(path)) == ["a.txt", "deep"]


def put_markers(s3: str, *keys: str) -> None:
    """Empty objects by the very keys that consoles and Hadoop give them."""
    bucket = Location.at(s3)
    for key in keys:
        bucket.fs.call_s3("put_object", Bucket=bucket.path.strip("/"), Key=key, Body=b"")


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("marker", ["stores/s1/", "stores/s1", "stores/s1_$folder$", "stores/s1/_$folder$"])
def test_an_object_that_stands_for_an_empty_folder_is_nothing_in_it(s3, marker, slash):
    put_markers(s3, marker)
    path = Location.at(s3) / f"stores/s1{slash}"
    assert names_in(path) == []
    assert not Ledger.at(join(s3, f"stores/s1{slash}")).check(new_manifest())
    assert [name for name in names_in(Location.at(s3) / "stores") if name != "s1"] == []


def test_objects_that_stand_for_folders_are_no_files(s3):
    put_markers(s3, "v/", "v/Wave/", "v/Wave_$folder$", "v/Kick/", "v/_$folder$")
    (Location.at(s3) / "v/Wave/a.avi").write_atomic(b"x")
    (Location.at(s3) / "v/file").write_atomic(b"x")
    path = Location.at(s3) / "v"
    assert [file.path.removeprefix(f"{path.path}/") for file in list_files(path)] == ["Wave/a.avi", "file"]
    assert len(glob_files(path / "*")) == 2
    assert sorted(names_in(path)) == ["Kick", "Wave", "file"]
    assert names_in(path / "file") == ["file"], "no folder, and not empty"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a/*.txt", {"a/1.txt", "a/2.txt"}),
        ("a*", {"a/1.txt", "a/2.txt", "ab/deep/3.txt"}),
        ("*/deep", {"ab/deep/3.txt"}),
        ("**/[23].txt", {"a/2.txt", "ab/deep/3.txt"}),
        ("**", {"a/1.txt", "a/2.txt", "ab/deep/3.txt", "odd [1].txt", "odd 1.txt"}),
        ("a/?.txt", {"a/1.txt", "a/2.txt"}),
        ("odd [1].txt", {"odd [1].txt"}),
        ("odd [12].txt", {"odd 1.txt"}),
        ("x*", set()),
    ],
)
def test_glob(folder, pattern, expected):
    for name in ["a/1.txt", "a/2.txt", "ab/deep/3.txt", "odd [1].txt", "odd 1.txt", ".b/4.txt", "a/.5.txt"]:
        (Location.at(folder) / name).write_atomic(b"x")
    path = Location.at(folder) / pattern
    root = Location.at(folder).path
    found = [os.path.relpath(file.path, root) for file in glob_files(path)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_glob_through_links_and_pipes(tmp_path):
    os.mkfifo(tmp_path / "pipe.avi")
    (tmp_path / "dangling.avi").symlink_to("nowhere")
    assert [(os.path.basename(path), size) for path, size in glob_files(Location.at(f"{tmp_path}/*.avi"))] == [
        ("dangling.avi", None)
    ]


def test_glob_asks_s3_only_for_what_starts_alike(s3, caplog):
    caplog.set_level("INFO", logger="werkzeug")
    path = Location.at(s3) / "a/v_*.avi"
    (Location.at(s3) / "a/v_1.avi").write_atomic(b"x")
    caplog.clear()
    assert len(glob_files(path)) == 1
    listings = [message for message in caplog.messages if "list-type=2" in message]
    assert any("prefix=a/v_&" in message for message in listings), listings


@pytest.mark.parametrize("url", ["s3://*/x.avi", "s3://b*"])
def test_wildcard_for_a_bucket(s3, url):
    with pytest.raises(UsageError, match="wildcards are not allowed"):
        glob_files(Location.at(url))
