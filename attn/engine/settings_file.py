"""Settings of an EnergyNet in a file: what a search found, and a training takes.

    {"energynet": {"energy_margin": 2.7, "embedding_dim": 128}, …}

Other entries of the file say where the settings come from and are passed over. No torch, no ray.
"""

import dataclasses
import json

from attn.engine.flag_help import flag_words
from attn.errors import UsageError
from attn.stages.energy_config import EnergyConfig
from attn.storage.filesystem import open_filesystem, read_text

SETTINGS = "energynet"


def settings_flags(url: str) -> list[str]:
    """The settings as flags of a command line.

    Args:
        url: of the file, local or on S3.

    Raises:
        UsageError: no such file, or settings that no one knows.
    """
    known = {field.name for field in dataclasses.fields(EnergyConfig)}
    try:
        settings = dict(json.loads(read_text(*open_filesystem(url)))[SETTINGS])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f'--config {url} holds no settings; it is JSON such as {{"{SETTINGS}": {{"lr": 1e-3}}}}'
        ) from error
    if strange := sorted(settings.keys() - known):
        raise UsageError(f"--config {url}: {', '.join(strange)} is no setting of an EnergyNet")
    return flag_words(EnergyConfig, settings)
