"""Types of a plan of experiments: start weights and sets of scores."""

import dataclasses
from typing import NamedTuple

WEB, ADAPTED, NO_IMAGE = "web", "adapted", "noimage"


class Start(NamedTuple):
    """Start weights of a fine-tuning.

    Attributes:
        weights: URL, `imagenet`, or None for random weights.
        needs: names of the steps that produce the weights.
        mixed: URL of the Web images to mix into the frames; None for no mixing.
    """

    weights: str | None
    needs: tuple[str, ...] = ()
    mixed: str | None = None


@dataclasses.dataclass(frozen=True)
class Cell:
    """Set of scores of one CNN on the test videos of one split.

    Attributes:
        backbone: name of the CNN.
        seed: seed of all trainings behind the scores.
        split: name of the split.
        trained_on: `web`, `adapted`, `noimage`, or the percentage of the training videos, three digits;
            `adapted-<percentage>` if only the EnergyNet was trained on them.
        scores: name of the step that computes the scores.
    """

    backbone: str
    seed: int
    split: str
    trained_on: str
    scores: str
