import json

import pytest

from attn.commands.search.space_file import read_space
from attn.errors import UsageError
from attn.training.energy_config import EnergyConfig
from attn.training.search_space import Choice, Range, check_space


def test_a_space_is_read_from_a_file(tmp_path):
    path = tmp_path / "space.json"
    path.write_text('{"lr": {"low": 1e-5, "high": 1e-2, "log": true}, "embedding_dim": {"values": [32, 64]}}')
    assert read_space(str(path)) == {"lr": Range(1e-5, 1e-2, log=True), "embedding_dim": Choice((32, 64))}


@pytest.mark.parametrize("text", ["", "[1]", '{"lr": 3}', '{"lr": {"lo": 1}}', json.dumps({"lr": {"values": 3}})])
def test_another_file_is_refused(text, tmp_path):
    path = tmp_path / "space.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a search space"):
        read_space(str(path))


def test_ends_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "space.json"
    path.write_text('{"lr": {"low": "a", "high": "b"}}')
    with pytest.raises(UsageError, match="lr"):
        check_space(read_space(str(path)), EnergyConfig())
