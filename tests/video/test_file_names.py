import pytest

from attn.video.file_names import folder_of, is_shard, is_video, video_id_of


@pytest.mark.parametrize(
    ("path", "video_id", "folder"),
    [
        ("/data/Class A/v_x.avi", "v_x", "Class A"),
        ("Class/a.b.c.AVI", "a.b.c", "Class"),
        ("./v.mp4", "v", ""),
        ("v.mp4", "v", ""),
        ("bucket/操作/Größe 1.MoV", "Größe 1", "操作"),
    ],
)
def test_names(path, video_id, folder):
    assert is_video(path)
    assert (video_id_of(path), folder_of(path)) == (video_id, folder)


@pytest.mark.parametrize(
    "path", ["a.txt", "avi", "a/.avi", "a/.hidden.avi", "a/._v.avi", "a.avi/", "a.avi.part", "a.tar"]
)
def test_no_videos(path):
    assert not is_video(path)


def test_shards():
    assert is_shard("a/videos-000000.tar")
    assert not is_shard("a/videos.tar.gz")
    assert not is_shard("a/.videos-000000.tar.0123abcd.tmp")
