import json

import pytest

from attn.commands.cli import parse
from attn.commands.settings_file import settings_flags
from attn.errors import UsageError
from attn.training.energy_config import EnergyConfig
from attn.training.energynet_options import TrainEnergyNetOptions

NEEDED = ["--store", "a", "--split", "b", "--out", "c"]


def written(tmp_path, found):
    path = tmp_path / "best.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return str(path)


def test_settings_take_the_place_of_the_defaults_and_flags_count_more(tmp_path):
    settings = {"lr": 2e-3, "num_hard": 5, "map_scale": "none", "normalise_embedding": True}
    config = written(tmp_path, {"energynet": settings, "trial": 7})
    options = parse(TrainEnergyNetOptions, None, ["--num-hard", "6", "--config", config, *NEEDED])
    assert (options.lr, options.num_hard, options.map_scale, options.normalise_embedding) == (2e-3, 6, "none", True)
    assert options.config == config
    assert options.hidden_dim == TrainEnergyNetOptions(store="a", split="b", out="c").hidden_dim


def test_a_switch_of_either_default_comes_as_it_was_found(tmp_path):
    switches = ("residual", "mirror", "centre", "semi_hard", "normalise_embedding")
    for value in (True, False):
        config = written(tmp_path, {"energynet": dict.fromkeys(switches, value)})
        options = parse(TrainEnergyNetOptions, None, ["--config", config, *NEEDED])
        assert [getattr(options, name) for name in switches] == [value] * len(switches)


def test_settings_are_read_from_s3(s3):
    import s3fs

    s3fs.S3FileSystem(use_listings_cache=False).pipe_file(f"{s3}/best.json", b'{"energynet": {"lr": 0.5}}')
    assert settings_flags(f"{s3}/best.json", EnergyConfig) == ["--lr", "0.5"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("", "not a settings file. Give a JSON file such as"),
        ([1], "not a settings file"),
        ({"lr": 1}, "not a settings file"),
        ({"energynet": 3}, "not a settings file"),
        ({"energynet": {"store": "x", "margin": 3}}, "unknown settings margin, store"),
    ],
)
def test_another_file_is_refused_in_one_line(found, words, tmp_path, capsys):
    config = written(tmp_path, found)
    with pytest.raises(UsageError, match=words):
        settings_flags(config, EnergyConfig)
    with pytest.raises(SystemExit) as refused:
        parse(TrainEnergyNetOptions, None, ["--config", config, *NEEDED])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_missing_file_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse(TrainEnergyNetOptions, None, [f"--config={tmp_path}/nothing.json", *NEEDED])
    assert "nothing.json" in capsys.readouterr().err
