"""The corpus: the same bytes for a seed and a number, whoever asks, and every kind does something."""

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import av
import pytest
from clips import Clip, generated_clips
from formats import CODECS, FORMATS, rare
from headers import FIELDS, absurd_header
from mutants import ROUND, WRONG_EXTENSION, mutant
from mutations import MUTATIONS

from attn.video.decode import read_frames
from attn.video.file_names import is_video
from attn.video.sample import Stride

DIGESTS = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from mutants import mutant\n"
    "for number in sorted(map(int, sys.argv[2:]), reverse=True): print(number, mutant(5, number).digest)"
)


@pytest.mark.parametrize("clip", generated_clips(), ids=lambda clip: clip.name)
def test_the_clips_are_whole(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / f"clip{clip.suffix}"
    path.write_bytes(clip.data)
    reading = read_frames(str(path), Stride(1))
    assert len(list(reading)) >= 6
    assert not reading.end.truncated


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_mutation_changes_every_clip_and_not_always_alike(kind: str) -> None:
    for clip in generated_clips():
        mutated = [MUTATIONS[kind](Random(i), clip, generated_clips()) for i in range(8)]
        assert len({clip.data, *mutated}) > 3, clip.name


@pytest.mark.parametrize("form", [*FORMATS, *CODECS], ids=" ".join)
def test_rare_formats_can_be_made(form: tuple[str, str, str]) -> None:
    with av.open(io.BytesIO(rare(*form).data), "r") as container:
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_the_same_bytes_in_another_process_in_another_order() -> None:
    numbers = [number for number in range(len(ROUND)) if ROUND[number] != "large_pictures"]
    command = [sys.executable, "-c", DIGESTS, str(Path(__file__).parent), *map(str, numbers)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    elsewhere = {int(line.split()[0]): line.split()[1] for line in told.splitlines()}
    assert elsewhere == {number: mutant(5, number).digest for number in numbers}


def test_another_seed_makes_other_files() -> None:
    numbers = [number for number in range(len(ROUND)) if ROUND[number] in MUTATIONS]
    same = [number for number in numbers if mutant(0, number).digest == mutant(1, number).digest]
    assert len(same) < len(numbers) / 10


def test_no_mutant_is_the_clip_it_was_made_of() -> None:
    clips = {clip.name: clip for clip in generated_clips()}
    for number in (
        number for number in range(3 * len(ROUND)) if ROUND[number % len(ROUND)] in {*MUTATIONS, WRONG_EXTENSION}
    ):
        made = mutant(0, number)
        clip = clips[made.source]
        assert made.data != clip.data or not made.name.lower().endswith(clip.suffix)


def test_names_are_one_for_each_and_all_are_taken_for_videos() -> None:
    names = [mutant(0, number).name for number in _cheap(range(500))]
    assert len(set(names)) == len(names)
    assert all(is_video(name) and len(name.encode()) < 256 and "/" not in name for name in names)
    assert any("\n" in name for name in names)
    assert any(name.startswith("-") for name in names)


def test_a_round_holds_every_kind() -> None:
    counts = Counter(mutant(0, number).kind for number in range(len(ROUND)))
    assert counts.keys() == set(ROUND)
    assert min(counts.values()) >= 1


def test_every_field_of_a_header_is_found_in_some_clip() -> None:
    everything = b"".join(clip.data for clip in generated_clips())
    assert [field for field in FIELDS if field.mark not in everything] == []


def test_an_absurd_header_is_as_long_as_the_clip() -> None:
    for clip in generated_clips():
        for i in range(20):
            assert len(absurd_header(Random(i), clip, ())) == len(clip.data)


def _cheap(numbers: range) -> list[int]:
    """Those that are made of clips."""
    return [number for number in numbers if ROUND[number % len(ROUND)] in {*MUTATIONS, WRONG_EXTENSION}]
