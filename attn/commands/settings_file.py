"""Settings of a model in a file, written by a search and read by a training.

    {"energynet": {"energy_margin": 2.7, "embedding_dim": 128}, …}

The key is the `NAME` of the settings. Other entries of the file describe the origin of the settings and are ignored.
This module imports neither torch nor ray.
"""

import dataclasses
import json

from attn.commands.flag_help import flag_words
from attn.errors import UsageError
from attn.settings import Settings, settings_type
from attn.storage.location import Location


def settings_flags(url: str, options_type: type[Settings]) -> list[str]:
    """Read a settings file and return the settings as command-line flags.

    Args:
        url: URL of the file, local or on S3.
        options_type: settings, or options of a job that derive from them.

    Raises:
        UsageError: the file does not exist, is not a file of these settings, or contains unknown settings.
    """
    kind = settings_type(options_type)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        settings = dict(json.loads(Location.at(url).read_text())[kind.NAME])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f'--config {url}: not a settings file. Give a JSON file such as {{"{kind.NAME}": {{"lr": 1e-3}}}}.'
        ) from error
    if unknown := sorted(settings.keys() - known):
        raise UsageError(f"--config {url}: unknown settings {', '.join(unknown)}. Remove them.")
    return flag_words(kind, settings)
