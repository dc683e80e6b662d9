"""Names and colours of the methods, the same in every figure of the study."""

from common.plotting import COLOR

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
    "finetune": COLOR["constant"],
    "joint": COLOR["wsd"],
    "er": COLOR["wsd_s"],
    "er_large": COLOR["wsd_s"],
    "joint_agem": COLOR["cyclic_cosine"],
    "joint_gem": COLOR["linear"],
    "er_agem": COLOR["cyclic_cosine"],
    "er_gem": COLOR["linear"],
    "gem": COLOR["linear"],
    "lwf": COLOR["infinite"],
    "ewc": COLOR["rewarm"],
    "ramp": COLOR["cosine"],
    "warmup": COLOR["rewarm"],
    "average": COLOR["cyclic_cosine"],
    "nearest_mean": COLOR["infinite"],
}
