"""Published figures of the papers, in per cent, for comparison with ours.

Sources: Li et al. 2017, Tables 1 to 5; Sharma et al. 2015, Tables 1 and 2; Zhang et al. 2019; Liu et al. 2019.
"""

from collections.abc import Mapping

PaperValue = float | str | dict[str, float]

RESNET, VGG = "resnet101", "vgg16"
WEB_ACCURACY = "web_accuracy"
"""Key of the figure of Table 1, which is measured on images, not on videos."""

WEB_VALIDATION = {
    (RESNET, "HII-noisy"): 95.2,
    (RESNET, "HII-filtered"): 94.1,
    (RESNET, "BU101"): 88.3,
    (VGG, "HII-noisy"): 90.1,
    (VGG, "HII-filtered"): 89.4,
}
"""Table 1: accuracy of the CNNs on held-out Web images."""

WEB_IMAGES = {"tvhi": ("HII-filtered", "HII-noisy"), "ucf101": ("BU101",)}
"""Sets of Web images in the paper for each data set, in the order of Table 2's columns."""

TVHI_MAP = {
    (RESNET, "CNN", "web"): (89.7, 91.6),
    (RESNET, "UnAtt", "web"): (94.3, 96.0),
    (RESNET, "finetune+CNN", "100"): (92.6, 92.9),
    (RESNET, "finetune+UnAtt", "100"): (94.7, 96.3),
    (RESNET, "finetune+EnergyNet", "100"): (96.8, 98.7),
    (VGG, "CNN", "web"): (86.7, 85.3),
    (VGG, "UnAtt", "web"): (89.0, 86.9),
    (VGG, "finetune+CNN", "100"): (89.5, 88.9),
    (VGG, "finetune+UnAtt", "100"): (90.5, 89.4),
    (VGG, "finetune+EnergyNet", "100"): (91.7, 90.7),
}
"""Table 2: mAP on TVHI, with Web images of HII-filtered and of HII-noisy."""

TVHI_NO_IMAGE = 44.9
"""Table 3: mAP on TVHI of ResNet-101 without Web images, NoImage+CNN."""

TVHI_OTHERS = {
    "Patron": 42.4,
    "Hoai": 71.1,
    "Wang": 78.2,
    "NoImage+ResNet": TVHI_NO_IMAGE,
    "ResNet+UnAtt": 96.0,
    "ResNet+finetune+EnergyNet": 98.7,
}
"""Table 3: mAP on TVHI; ResNet-101, with HII-noisy for methods that use Web images."""

UCF101_OTHERS = {
    "Spatial stream": 73.0,
    "LRCN": 71.1,
    "Karpathy": 65.4,
    "Webly-supervised": 69.3,
    "Ma spatial": 83.5,
    "Two-stream": 88.0,
    "IDT+FV": 87.9,
    "C3D": 82.3,
    "TDD": 90.3,
    "TDD+IDT-FV": 91.5,
    "Ma+IDT-FV": 91.1,
}
"""Table 5: top-1 on UCF101 of other methods."""

UCF101: Mapping[tuple[str, str, str], float | str] = {
    ("CNN", "web", "top_1"): 62.5,
    ("CNN", "web", "top_3"): 78.5,
    ("UnAtt", "web", "top_1"): 66.4,
    ("UnAtt", "web", "top_3"): 82.4,
    ("finetune+EnergyNet", "020", "top_1"): 85.0,
    ("finetune+EnergyNet", "100", "top_1"): 88.0,
    ("finetune+CNN", "020", "top_1"): "about 81.9 (gain of 3.1)",
    ("finetune+CNN", "100", "top_1"): "about 87.3 (gain of 0.7)",
}
"""Tables 4 and 5: ResNet-101 on UCF101. For the fine-tuned CNN, the text gives only the gain of EnergyNet over "the
baselines"."""

SHARMA = {
    "ucf11": {"average": 82.56, "max": 81.60, "attention": 84.96, "lambda1": 83.52, "lambda10": 81.44},
    "hmdb51": {"average": 40.52, "max": 37.58, "attention": 41.31, "lambda1": 40.98, "lambda10": 39.87},
    "hollywood2": {"average": 43.19, "max": 43.22, "attention": 43.91, "lambda1": 43.18, "lambda10": 42.92},
}
"""Soft-attention LSTM: accuracy on UCF-11 and HMDB51, mAP on Hollywood2. The groups of the paper's split of UCF-11 are
not published; HMDB51 is split 1. Source: Sharma et al. 2015."""


def sharma_value(dataset: str, method: str) -> float | None:
    """Look up the published value of a soft-attention LSTM; None if the paper does not report it.

    Args:
        dataset: name of the data set; with `ucf11_random`, a split that ignores the groups, nothing can be compared.
        method: `attention`, `average`, `max`, `lambda1` or `lambda10`.
    """
    return SHARMA.get(dataset.removesuffix("_975"), {}).get(method)


def paper_value(dataset: str, backbone: str, method: str, trained_on: str, figure: str) -> PaperValue | None:
    """Look up the published value of a figure; None if the paper does not report it.

    Args:
        dataset: name of the data set.
        backbone: name of the CNN; the paper uses ResNet-101, and VGG-16 on TVHI.
        method: name of the method in the tables.
        trained_on: `web`, `noimage`, or the percentage of the training videos with three digits.
        figure: `top_1`, `top_3`, `map_noninterpolated`, or `web_accuracy` (of the CNN on held-out Web images).

    Returns:
        Value in per cent. It is a dictionary by set of Web images if the paper uses two sets, and a text if the paper
        does not give a single number.
    """
    if figure == WEB_ACCURACY:
        names = [name for name in WEB_IMAGES.get(dataset, ()) if (backbone, name) in WEB_VALIDATION]
        return _plain({name: WEB_VALIDATION[backbone, name] for name in names})
    if (dataset, figure) == ("tvhi", "map_noninterpolated"):
        if (backbone, method, trained_on) == (RESNET, "NoImage+CNN", "noimage"):
            return TVHI_NO_IMAGE
        found = TVHI_MAP.get((backbone, method, trained_on), ())
        return dict(zip(WEB_IMAGES["tvhi"], found, strict=False)) or None
    if (dataset, backbone) == ("ucf101", RESNET):
        return UCF101.get((method, trained_on, figure))
    return None


def as_text(value: PaperValue | None) -> str:
    """Format a value for a table cell; empty for None."""
    if isinstance(value, dict):
        return ", ".join(f"{number} ({name})" for name, number in value.items())
    return "" if value is None else str(value)


def _plain(by_images: dict[str, float]) -> PaperValue | None:
    """Return the value without the name if there is only one set of images."""
    return by_images if len(by_images) > 1 else next(iter(by_images.values()), None)


TSRNET_RECOGNITION = {
    "two_stream": 68.2,
    "two_stream-flow": 71.6,
    "two_stream-fused": 73.0,
    "srnet": 72.3,
    "srnet-flow": 76.2,
    "srnet-fused": 79.4,
    "tsrnet": 74.4,
    "tsrnet-flow": 79.6,
    "tsrnet-fused": 87.1,
}
"""Recognition on THUMOS14 with RGB, with flow, and with both; the training videos are the 1010 of the validation set.
The column says accuracy, but the methods beside it report mAP.

Source: Zhang et al. 2019, Table 2.
"""
TSRNET_DETECTION = (55.9, 46.9, 38.3, 28.1, 18.6, 11.0, 5.59, 2.19, 0.29)
"""mAP of TSRNet's detections on THUMOS14 at tIoU 0.1 to 0.9, with RGB and flow. Source: Zhang et al. 2019, Table 3."""

DISTILLATION = {"ucf101": (101, 97.4), "hmdb51": (51, 75.7), "something_v2": (174, 54.6)}
"""Number of classes, and top-1 of attention distillation; unverified, and possibly that of a fused or the best network.

Source: Liu et al. 2019, as quoted by others.
"""
DISTILLATION_PRECISION = 36.3
"""Precision of localisation on THUMOS'13; unverified, by a protocol that is not known. Source: Liu et al. 2019."""
