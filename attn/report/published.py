"""The numbers of the paper, beside which ours are shown. In per cent.

Source: Li et al. 2017, Tables 1 to 5.
"""

WEB_VALIDATION = {
    ("resnet101", "HII-noisy"): 95.2,
    ("resnet101", "HII-filtered"): 94.1,
    ("resnet101", "BU101"): 88.3,
    ("vgg16", "HII-noisy"): 90.1,
    ("vgg16", "HII-filtered"): 89.4,
}
"""Table 1: accuracy of the CNNs on held-out Web images."""

TVHI_MAP = {
    ("resnet101", "CNN"): (89.7, 91.6),
    ("resnet101", "UnAtt"): (94.3, 96.0),
    ("resnet101", "finetune+CNN"): (92.6, 92.9),
    ("resnet101", "finetune+UnAtt"): (94.7, 96.3),
    ("resnet101", "finetune+EnergyNet"): (96.8, 98.7),
    ("resnet101", "NoImage+CNN"): (44.9, 44.9),
    ("vgg16", "CNN"): (86.7, 85.3),
    ("vgg16", "UnAtt"): (89.0, 86.9),
    ("vgg16", "finetune+CNN"): (89.5, 88.9),
    ("vgg16", "finetune+UnAtt"): (90.5, 89.4),
    ("vgg16", "finetune+EnergyNet"): (91.7, 90.7),
}
"""Table 2: mAP on TVHI, with Web images of HII-filtered and of HII-noisy; NoImage, from Table 3, has none of either."""

TVHI_OTHERS = {
    "Patron": 42.4,
    "Hoai": 71.1,
    "Wang": 78.2,
    "NoImage+ResNet": 44.9,
    "ResNet+UnAtt": 96.0,
    "ResNet+finetune+EnergyNet": 98.7,
}
"""Table 3: mAP on TVHI; ResNet-101, and HII-noisy where there are Web images."""

UCF101_UNSUPERVISED = {"CNN": (62.5, 78.5), "UnAtt": (66.4, 82.4)}
"""Table 4: top-1 and top-3 on UCF101 without a video label."""

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
UCF101_OURS = {
    ("UnAtt", None): "66.4",
    ("finetune+EnergyNet", 0.2): "85.0",
    ("finetune+EnergyNet", 1.0): "88.0",
    ("finetune+CNN", 0.2): "about 81.9 (gain of 3.1)",
    ("finetune+CNN", 1.0): "about 87.3 (gain of 0.7)",
}
"""Table 5: top-1 on UCF101, of others and of the paper itself by fraction of the training videos. Of the CNN the text
gives only by how much the EnergyNet is ahead of "the baselines"."""
