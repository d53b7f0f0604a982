"""Settings of an EnergyNet in a file, written by a search and read by a training.

    {"energynet": {"energy_margin": 2.7, "embedding_dim": 128}, …}

Other entries of the file describe the origin of the settings and are ignored. This module imports neither torch nor
ray.
"""

import dataclasses
import json

from attn.commands.flag_help import flag_words
from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, read_text
from attn.training.energy_config import EnergyConfig

SETTINGS = "energynet"


def settings_flags(url: str) -> list[str]:
    """Read a settings file and return the settings as command-line flags.

    Args:
        url: URL of the file, local or on S3.

    Raises:
        UsageError: the file does not exist, is not a settings file, or contains unknown settings.
    """
    known = {field.name for field in dataclasses.fields(EnergyConfig)}
    try:
        settings = dict(json.loads(read_text(*open_filesystem(url)))[SETTINGS])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f'--config {url}: not a settings file. Give a JSON file such as {{"{SETTINGS}": {{"lr": 1e-3}}}}.'
        ) from error
    if unknown := sorted(settings.keys() - known):
        raise UsageError(f"--config {url}: unknown settings {', '.join(unknown)}. Remove them.")
    return flag_words(EnergyConfig, settings)
