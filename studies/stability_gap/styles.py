"""Names and colours of the methods, the same in every figure of the study."""

from common.plotting import PALETTE

NAMES = {
    "finetune": "fine-tuning",
    "joint": "joint",
    "er": "replay (ER)",
    "er_large": "ER, 500 examples",
    "er_agem": "ER + A-GEM",
    "er_gem": "ER + GEM",
    "joint_agem": "joint + A-GEM",
    "joint_gem": "joint + GEM",
    "gem": "GEM",
    "lwf": "LwF",
    "ewc": "EWC",
    "ramp": "loss ramp",
    "warmup": "LR warm-up",
    "average": "averaged weights",
    "nearest_mean": "nearest mean",
}
COLORS = {
    "finetune": PALETTE["constant"],
    "joint": PALETTE["wsd"],
    "er": PALETTE["wsd_s"],
    "er_large": PALETTE["wsd_s"],
    "joint_agem": PALETTE["cyclic_cosine"],
    "joint_gem": PALETTE["linear"],
    "er_agem": PALETTE["cyclic_cosine"],
    "er_gem": PALETTE["linear"],
    "gem": PALETTE["linear"],
    "lwf": PALETTE["infinite"],
    "ewc": PALETTE["rewarm"],
    "ramp": PALETTE["cosine"],
    "warmup": PALETTE["rewarm"],
    "average": PALETTE["cyclic_cosine"],
    "nearest_mean": PALETTE["infinite"],
}
