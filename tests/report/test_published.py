"""The paper's numbers: each belongs to one data set, CNN, method, share and figure, and to no other."""

import pytest

from attn.report.published import as_text, paper_value


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("ucf101", "resnet101", "CNN", "web", "top_1"), 62.5),
        (("ucf101", "resnet101", "UnAtt", "web", "top_3"), 82.4),
        (("ucf101", "resnet101", "finetune+EnergyNet", "020", "top_1"), 85.0),
        (("ucf101", "resnet101", "finetune+CNN", "100", "top_1"), "about 87.3 (gain of 0.7)"),
        (("tvhi", "vgg16", "UnAtt", "web", "map_noninterpolated"), {"HII-filtered": 89.0, "HII-noisy": 86.9}),
        (
            ("tvhi", "resnet101", "finetune+EnergyNet", "100", "map_noninterpolated"),
            {"HII-filtered": 96.8, "HII-noisy": 98.7},
        ),
        (("tvhi", "resnet101", "NoImage+CNN", "noimage", "map_noninterpolated"), 44.9),
        (("tvhi", "vgg16", "CNN", "web", "web_accuracy"), {"HII-filtered": 89.4, "HII-noisy": 90.1}),
        (("ucf101", "resnet101", "CNN", "web", "web_accuracy"), 88.3),
    ],
)
def test_what_the_paper_reports(place, expected):
    assert paper_value(*place) == expected


@pytest.mark.parametrize(
    "place",
    [
        ("ut_interaction", "resnet101", "finetune+EnergyNet", "100", "top_1"),
        ("synthetic", "resnet101", "CNN", "web", "web_accuracy"),
        ("ucf101", "vgg16", "CNN", "web", "top_1"),
        ("ucf101", "vgg16", "CNN", "web", "web_accuracy"),
        ("ucf101", "resnet101", "finetune+EnergyNet", "050", "top_1"),
        ("ucf101", "resnet101", "finetune+EnergyNet", "100", "top_3"),
        ("ucf101", "resnet101", "UnAtt", "web", "map_noninterpolated"),
        ("tvhi", "resnet101", "finetune+EnergyNet", "020", "map_noninterpolated"),
        ("tvhi", "resnet101", "finetune+SVM", "100", "map_noninterpolated"),
        ("tvhi", "resnet101", "CNN", "web", "top_1"),
        ("tvhi", "vgg16", "NoImage+CNN", "noimage", "map_noninterpolated"),
        ("tvhi", "small_cnn", "UnAtt", "web", "map_noninterpolated"),
    ],
)
def test_what_it_does_not_report(place):
    assert paper_value(*place) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (85.0, "85.0"),
        ("about 81.9", "about 81.9"),
        ({"HII-filtered": 89.7, "HII-noisy": 91.6}, "89.7 (HII-filtered), 91.6 (HII-noisy)"),
        ({}, ""),
    ],
)
def test_a_value_fits_a_cell(value, text):
    assert as_text(value) == text
