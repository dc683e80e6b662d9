"""Every rule accepts and refuses; descriptions survive JSON; sweeps unfold in order."""

import dataclasses
import json
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import schedules
from common.config import (
    CORPORA,
    DECAY_SHAPES,
    Continual,
    Data,
    Model,
    Optimizer,
    Probe,
    Run,
    Schedule,
    datasets_of,
    full_name,
    members,
    run_from_dict,
    to_dict,
)
from common.description import DescriptionError, collecting, problems

MLP = {"model": Model(kind="mlp"), "data": Data(source="digits"), "lr": 0.1, "steps": 100, "seed": 0}
TEXT = MLP | {"model": Model(heads=2), "data": Data(name="prose", context=8), "batch_size": 4}
TEACHER = {"source": "teacher", "inputs": 3, "samples": 9, "exponent": 1.0}
TANH_TEACHER = TEACHER | {"source": "tanh_teacher", "hidden": 2, "outputs": 2}
BIGRAM = {"source": "bigram", "vocabulary": 8, "successors": 2, "context": 4}
FILE = {"source": "files", "path": "x.txt"}
STREAMED = {"source": "huggingface", "name": "a/b", "bytes_limit": 1, "context": 4}
WSD_S = {"kind": "wsd_s", "decay_steps": 2, "decay_ends": (5, 9)}
INFINITE = {"kind": "infinite", "cooldown_steps": 2, "level": 0.5, "decay_steps": 2}

PAST = {"past": (Data(source="digits", rotation=80),)}


def branch(**parts) -> dict:
    """Fields of a run that continues another on a new task."""
    return MLP | {"parent": "a", "continual": Continual(**(PAST | parts))}


BLOCKS = {"kind": "mlp", "residual": True, "block_layers": 2, "depth": 8}

ACCEPTED = [
    (Model, {"heads": 1}),
    (Model, {"heads": 32, "expansion": 1, "qk_norm": True, "tied": False, "width": 64, "depth": 1}),
    (Model, {"kind": "mlp", "residual": True, "norm": "none", "norm_place": "post", "init_gain": 1e-9}),
    (Model, {"kind": "convnet", "norm": "none", "parametrization": "mup", "base_width": 16, "readout_gain": 0}),
    (Model, {"kind": "mlp", "parametrization": "ntp", "base_width": 100, "embedding_factor": 2}),
    (Model, BLOCKS | {"depth_rule": "completep", "base_depth": 4, "gated": True}),
    (Model, BLOCKS | {"depth_rule": "none", "base_depth": 4}),
    (Model, {"heads": 2, "parametrization": "mup", "base_width": 32, "readout_factor": 4}),
    (Model, {"heads": 8, "parametrization": "ntp", "base_width": 16, "base_heads": 2, "tied": False}),
    (Model, {"heads": 8, "base_width": 32, "base_depth": 2, "depth_rule": "depth_mup"}),
    *((Data, {"name": name, "context": 2, "validation_windows": 1}) for name in CORPORA),
    (Data, {"source": "files", "path": "x.txt", "context": 2}),
    (Data, FILE | {"context": 2, "samples": 2, "ranked": "comments"}),
    (Data, {"name": "python", "context": 2, "samples": 9, "ranked": "comments", "permuted": 1}),
    (Data, {"name": "prose", "context": 2, "permuted": 0.02}),
    (Data, STREAMED | {"text_field": "body"}),
    (Data, {"source": "digits", "classes": (0, 9), "rotation": -30, "permutation": 0}),
    (Data, {"source": "digits", "classes": (0, 9), "split": (1, 2), "samples": 9}),
    (Data, TEACHER | {"noise": 0, "exponent": 0, "samples": 2, "inputs": 1}),
    (Data, TANH_TEACHER | {"noise": 0.1, "loss": "cross_entropy"}),
    (Data, BIGRAM | {"successors": 4}),
    (Optimizer, {"kind": "adamw"}),
    (Optimizer, {"kind": "adam", "weight_decay": 0.1}),
    (Optimizer, {"kind": "sgd", "momentum": 0, "weight_decay": 0}),
    (Optimizer, {"kind": "sgd", "momentum": 0.9, "nesterov": True}),
    (Optimizer, {"kind": "schedule_free", "beta1": 0, "beta2": 0.5, "epsilon": 1e-12, "clip": 1e-3}),
    (Schedule, {"kind": "constant", "warmup_steps": 5}),
    (Schedule, {"kind": "linear", "floor": 0}),
    (Schedule, {"kind": "cosine", "floor": 1}),
    *((Schedule, {"kind": "wsd", "decay_steps": 3, "decay_shape": shape, "floor": 0.01}) for shape in DECAY_SHAPES),
    (Schedule, WSD_S | {"rewarm_steps": 0, "decay_shape": "linear", "floor": 0}),
    (Schedule, WSD_S | {"decay_steps": (3, 0)}),
    (Schedule, {"kind": "cyclic_cosine", "cycle_ends": (1,), "rewarm_steps": 2}),
    (Schedule, INFINITE | {"start": 0, "floor": 0.5}),
    (Schedule, {"kind": "rewarm", "start": 1, "warmup_steps": 0}),
    (Probe, {"kind": "norms", "every": 1}),
    (Probe, {"kind": "norms", "steps": (0, 4)}),
    (Probe, {"kind": "sharpness", "every": 5, "examples": 100}),
    (Probe, {"kind": "effective_sharpness", "every": 5}),
    (Probe, {"kind": "gradients", "steps": (0, 1), "examples": 100}),
    (Probe, {"kind": "nearest_mean", "every": 1, "examples": 100}),
    (Continual, PAST),
    (Continual, PAST | {"replay": "memory", "memory": 1, "selection": "class_balanced", "new_weight": 0}),
    (Continual, PAST | {"replay": "all", "ramp_steps": 1, "projection": "agem", "new_weight": 1}),
    (Continual, PAST | {"memory": 3, "projection": "gem", "margin": 0}),
    (Continual, PAST | {"distillation": 1, "temperature": 2, "ramp_steps": 9}),
    (Continual, {"past": 2 * PAST["past"], "consolidation": 10, "fisher_examples": 1, "replay": "all"}),
    (Run, MLP | {"keep_steps": (1, 99), "evaluate_every": 1, "log_every": 1, "threads": 2, "precision": "bf16"}),
    (Run, MLP | {"parent": "a", "parent_step": 5, "reset": ("weights", "optimizer", "data")}),
    (Run, MLP | {"schedule": Schedule(kind="wsd", warmup_steps=50, decay_steps=50)}),
    (Run, MLP | {"schedule": Schedule(**(INFINITE | {"warmup_steps": 96}))}),
    (Run, MLP | {"schedule": Schedule(**(WSD_S | {"decay_ends": (2, 100), "rewarm_steps": 96}))}),
    (Run, MLP | {"probes": (Probe(kind="norms", steps=(0, 100)),)}),
    (Run, MLP | {"sweep": {"lr": (0.1, 1), "seed": (0, 1), "steps": (7, 9), "batch_size": (1,)}}),
    (Run, MLP | {"watched": {"old": Data(source="digits", rotation=0), "half_2": Data(source="digits", samples=9)}}),
    (Run, TEXT | {"watched": {"code": Data(name="python", context=8), "own": Data(**FILE, context=8)}}),
    (Run, MLP | {"watched": {"own": MLP["data"], "withinside": Data(source="digits", split=(0, 2))}}),
    (Run, TEXT | {"watched": {"own": Data(name="prose", context=8, validation_windows=9)}}),
    (Run, MLP | {"probes": (Probe(kind="nearest_mean", every=1),), "sweep": {"lr": (1, 2)}, "stacked": True}),
    (Run, MLP | {"average": 1e-3, "sweep": {"lr": (1, 2)}, "model": Model(kind="mlp", norm="batchnorm")}),
    (Run, branch() | {"probes": (Probe(kind="gradients", every=1),), "parent": None}),
    (Run, branch(replay="all", ramp_steps=100, distillation=1.0, temperature=2.0, consolidation=1.0)),
    (Run, branch(past=(MLP["data"],), replay="memory", memory=9, selection="class_balanced")),
    (Run, TEXT | {"continual": Continual(past=(Data(name="cpp", context=8),), replay="memory", memory=9)}),
    (Run, TEXT),
    (Run, TEXT | {"data": Data(**BIGRAM)}),
    (Run, MLP | {"data": Data(**TEACHER), "batch_size": 1}),
]

REFUSED = [
    (Model, {}, "heads is missing: 'transformer' needs it"),
    (Model, {"heads": 3}, "heads=3 must divide width=64"),
    (Model, {"heads": 2, "width": 6}, "heads=2 gives heads of 3 features; pairs need an even number"),
    (Model, {"heads": 0}, "heads=0 must be at least 1"),
    (Model, {"heads": 1, "expansion": 0}, "expansion=0 must be at least 1"),
    (Model, {"heads": 1, "width": 0}, "width=0 must be at least 1"),
    (Model, {"heads": 1, "depth": 0}, "depth=0 must be at least 1"),
    (Model, {"heads": 1, "init_gain": 0}, "init_gain=0.0 must be greater than 0"),
    (Model, {"heads": 1, "residual": True}, "residual=True has no meaning for 'transformer'; it belongs to 'mlp'"),
    (Model, {"kind": "mlp", "tied": False}, "tied=False has no meaning for 'mlp'; it belongs to 'transformer'"),
    (Model, {"kind": "mlp", "qk_norm": True}, "qk_norm=True has no meaning"),
    (Model, {"kind": "mlp", "expansion": 4}, "expansion=4 has no meaning"),
    (Model, {"kind": "mlp", "residual": 1}, "residual=1 must be True or False or None"),
    (Model, {"kind": "mlp", "activation": "Relu"}, "activation='Relu' must be one of 'relu', 'relu2'"),
    (Model, {"kind": "mlp", "norm": None}, "norm=None must be one of 'layernorm'"),
    (Model, {"kind": "mlp", "gated": True}, "gated=True needs residual=True"),
    (Model, {"kind": "mlp", "block_layers": 2}, "block_layers=2 needs residual=True"),
    (Model, BLOCKS | {"block_layers": 0}, "block_layers=0 must be at least 1"),
    (Model, {"kind": "convnet", "norm": "batchnorm"}, "norm='batchnorm' belongs to 'mlp'"),
    (Model, {"kind": "convnet", "residual": True}, "residual=True has no meaning for 'convnet'"),
    (Model, {"kind": "mlp", "parametrization": "mup"}, "base_width is missing: parametrization='mup' needs the width"),
    (Model, {"kind": "mlp", "parametrization": "mpu"}, "parametrization='mpu' must be one of 'sp', 'ntp', 'mup'"),
    (Model, {"kind": "mlp", "base_width": 0}, "base_width=0 must be at least 1"),
    (Model, {"kind": "mlp", "base_heads": 2}, "base_heads=2 has no meaning for 'mlp'"),
    (Model, {"heads": 2, "base_heads": 2}, "base_heads=2 has no meaning without base_width"),
    (Model, {"heads": 2, "base_width": 15}, "heads=2 must divide base_width=15"),
    (Model, {"heads": 2, "base_width": 24, "base_heads": 8}, "base_heads=8 gives heads of 3 features"),
    (Model, {"heads": 2, "depth_rule": "depth_mup"}, "base_depth is missing: depth_rule='depth_mup' needs the depth"),
    (Model, {"kind": "mlp", "base_depth": 2}, "depth_rule and base_depth need residual=True and block_layers"),
    (Model, {"kind": "convnet", "base_depth": 2}, "base_depth=2 has no meaning for 'convnet'"),
    (Model, {"heads": 2, "parametrization": "ntp", "base_width": 16}, "'ntp' treats embedding and readout differently"),
    (Model, {"heads": 2, "readout_gain": 0}, "readout_gain=0.0 has no meaning for the tied readout; set tied=False"),
    (Model, {"kind": "mlp", "readout_gain": -1}, "readout_gain=-1.0 must be at least 0"),
    (Model, {"kind": "mlp", "readout_factor": 0}, "readout_factor=0.0 must be greater than 0"),
    (Model, {"kind": "mlp", "embedding_factor": -2}, "embedding_factor=-2.0 must be greater than 0"),
    (Data, {}, "name is missing: 'corpus' needs it; Data: context is missing: 'corpus' needs it"),
    (Data, {"name": "rust", "context": 2}, "name='rust' must be one of 'prose', 'python', 'cpp'"),
    (Data, {"name": "prose", "context": 1}, "context=1 must be at least 2"),
    (Data, {"name": "prose", "context": 2, "validation_windows": 0}, "validation_windows=0 must be at least 1"),
    (Data, {"name": "prose", "context": 2, "samples": 1}, "samples=1 must be at least 2"),
    (Data, {"name": "python", "context": 2, "ranked": "comments"}, "ranked='comments' has no meaning without samples"),
    (Data, {"name": "python", "context": 2, "samples": 2, "ranked": "size"}, "ranked='size' must be one of 'comments'"),
    (
        Data,
        {"name": "cpp", "context": 2, "samples": 2, "ranked": "comments"},
        "ranked='comments' counts '#' comments, which name='cpp' does not have",
    ),
    (
        Data,
        {"name": "prose", "context": 2, "permuted": 1.1},
        "permuted=1.1 must be at most 1 and exchange at least two",
    ),
    (
        Data,
        {"name": "prose", "context": 2, "permuted": 0.01},
        "permuted=0.01 must be at most 1 and exchange at least two",
    ),
    (
        Data,
        {"name": "prose", "context": 2, "permuted": -1},
        "permuted=-1.0 must be at most 1 and exchange at least two",
    ),
    (Data, FILE | {"context": 2, "permuted": 1}, "permuted=1.0 has no meaning for 'files'; it belongs to 'corpus'"),
    (Data, STREAMED | {"samples": 2}, "samples=2 has no meaning for 'huggingface'"),
    (Data, {"source": "files", "context": 2}, "path is missing: 'files' needs it"),
    (Data, {"source": "files", "path": 3, "context": 2}, "path=3 must be a text or None"),
    (Data, {"source": "digits", "context": 2}, "context=2 has no meaning for 'digits'"),
    (Data, {"source": "digits", "classes": (1,)}, "classes=(1,) must be at least two different digits"),
    (Data, {"source": "digits", "classes": (1, 10)}, "classes=(1, 10) must be at least two different digits"),
    (Data, {"source": "digits", "classes": (1, 2, 2)}, "classes=(1, 2, 2) must be at least two different digits"),
    (Data, {"source": "digits", "classes": (1, "2")}, "a tuple in which each value is a whole number"),
    (Data, {"source": "digits", "permutation": -1}, "permutation=-1 must be at least 0"),
    *(
        (Data, {"source": "digits", "split": split}, f"split={split} must be (i, n), part i from 0 to n - 1 of n parts")
        for split in ((0, 1), (2, 2), (-1, 3), (1,), (0, 2, 2))
    ),
    (Data, {"source": "digits", "split": (0, 2.5)}, "a tuple in which each value is a whole number"),
    (Data, STREAMED | {"bytes_limit": 0}, "bytes_limit=0 must be at least 1"),
    (Data, TEACHER | {"inputs": 0}, "inputs=0 must be at least 1"),
    (Data, TEACHER | {"samples": 1}, "samples=1 must be at least 2"),
    (Data, TANH_TEACHER | {"outputs": 0}, "outputs=0 must be at least 1"),
    (Data, {name: value for name, value in TANH_TEACHER.items() if name != "hidden"}, "hidden is missing"),
    (Data, TEACHER | {"hidden": 2}, "hidden=2 has no meaning for 'teacher'"),
    (Data, TEACHER | {"exponent": -1}, "exponent=-1.0 must be at least 0"),
    (Data, TEACHER | {"noise": -1}, "noise=-1.0 must be at least 0"),
    (Data, BIGRAM | {"vocabulary": 1}, "vocabulary=1 must be at least 2"),
    (Data, BIGRAM | {"successors": 1}, "successors=1 must be at least 2"),
    (Data, BIGRAM | {"successors": 9}, "successors=9 must be at most half of vocabulary=8"),
    (Optimizer, {"kind": "sgd", "beta1": 0.9}, "beta1=0.9 has no meaning for 'sgd'; it belongs to 'adam', 'adamw'"),
    (Optimizer, {"momentum": 0.9}, "momentum=0.9 has no meaning for 'adamw'; it belongs to 'sgd'"),
    (Optimizer, {"kind": "sgd", "momentum": 1}, "momentum=1.0 must lie in [0, 1)"),
    (Optimizer, {"beta1": 1.0}, "beta1=1.0 must lie in [0, 1)"),
    (Optimizer, {"beta2": -0.1}, "beta2=-0.1 must lie in [0, 1)"),
    (Optimizer, {"epsilon": 0}, "epsilon=0.0 must be greater than 0; leave it out for none"),
    (Optimizer, {"clip": 0}, "clip=0.0 must be greater than 0; leave it out for none"),
    (Optimizer, {"weight_decay": -1}, "weight_decay=-1.0 must be at least 0"),
    (Optimizer, {"kind": "sgd", "nesterov": True}, "nesterov=True needs a momentum greater than 0"),
    (Schedule, {"warmup_steps": -1}, "warmup_steps=-1 must be at least 0"),
    (Schedule, {"kind": "wsd", "decay_steps": -1}, "decay_steps=-1 must be at least 0"),
    (Schedule, {"floor": 0.1}, "floor=0.1 has no meaning for 'constant'"),
    (Schedule, {"kind": "linear", "floor": 1.1}, "floor=1.1 is a factor of the peak and must lie in [0, 1]"),
    (Schedule, {"kind": "rewarm", "start": -0.1}, "start=-0.1 is a factor of the peak"),
    (Schedule, INFINITE | {"level": 1.5}, "level=1.5 is a factor of the peak"),
    (Schedule, INFINITE | {"floor": 0.6}, "floor=0.6 must be above 0 and at most level=0.5"),
    (Schedule, INFINITE | {"floor": 0}, "floor=0.0 must be above 0 and at most level=0.5"),
    (Schedule, INFINITE | {"level": 0.05}, "floor=0.1 must be above 0 and at most level=0.05"),
    (Schedule, INFINITE | {"cooldown_steps": -1}, "cooldown_steps=-1 must be at least 0"),
    (Schedule, WSD_S | {"rewarm_steps": -1}, "rewarm_steps=-1 must be at least 0"),
    (Schedule, WSD_S | {"decay_shape": "inverse", "floor": 0}, "never reached by a decay of shape 'inverse'"),
    (Schedule, WSD_S | {"decay_shape": "exponential", "floor": 0}, "never reached by a decay of shape 'exponential'"),
    (Schedule, WSD_S | {"decay_steps": (1,)}, "decay_steps=(1,) must have one number for each of decay_ends=(5, 9)"),
    (Schedule, WSD_S | {"decay_steps": ()}, "decay_steps=() must have one number for each of decay_ends=(5, 9)"),
    (Schedule, WSD_S | {"decay_steps": (1, -1)}, "decay_steps=(1, -1) must be at least 0"),
    (Schedule, {"kind": "wsd", "decay_steps": (1,)}, "decay_steps=(1,) must be one number for 'wsd'"),
    (Schedule, WSD_S | {"decay_ends": ()}, "decay_ends=() must be increasing counts of updates"),
    (Schedule, WSD_S | {"decay_ends": (9, 5)}, "decay_ends=(9, 5) must be increasing counts of updates"),
    (Schedule, {"kind": "cyclic_cosine", "cycle_ends": (0, 5)}, "cycle_ends=(0, 5) must be increasing counts"),
    (Schedule, {"kind": "cyclic_cosine", "cycle_ends": (5, 5)}, "cycle_ends=(5, 5) must be increasing counts"),
    (Probe, {"kind": "norms"}, "every=None, steps=None: give exactly one of the two"),
    (Probe, {"kind": "norms", "every": 1, "steps": (1,)}, "every=1, steps=(1,): give exactly one of the two"),
    (Probe, {"kind": "norms", "every": 0}, "every=0 must be at least 1"),
    (Probe, {"kind": "norms", "every": 1, "examples": 9}, "examples=9 has no meaning for 'norms'; it belongs to"),
    (Probe, {"kind": "norms", "steps": (0, -1)}, "steps=(0, -1) must not be negative"),
    (Run, MLP | {"steps": 0}, "steps=0 must be at least 1"),
    (Run, MLP | {"batch_size": 0}, "batch_size=0 must be at least 1"),
    (Run, MLP | {"log_every": 0}, "log_every=0 must be at least 1"),
    (Run, MLP | {"evaluate_every": 0}, "evaluate_every=0 must be at least 1"),
    (Run, MLP | {"threads": 0}, "threads=0 must be at least 1"),
    (Run, MLP | {"seed": -1}, "seed=-1 must be at least 0"),
    (Run, MLP | {"lr": 0}, "lr=0.0 must be greater than 0"),
    (Run, MLP | {"lr": None}, "lr=None must be a finite number"),
    (Run, MLP | {"model": TEXT["model"]}, "model.kind='transformer' cannot read data.source='digits'"),
    (Run, TEXT | {"model": MLP["model"]}, "model.kind='mlp' cannot read data.source='corpus'"),
    (Run, TEXT | {"model": Model(kind="convnet")}, "model.kind='convnet' cannot read data.source='corpus'"),
    (Run, MLP | {"model": Model(kind="convnet"), "data": Data(**TEACHER)}, "'convnet' reads images, but data.source="),
    (
        Run,
        MLP
        | {
            "model": Model(kind="mlp", parametrization="sp_layerwise", base_width=32),
            "optimizer": Optimizer(kind="sgd"),
        },
        "model.parametrization='sp_layerwise' has no rates for optimizer.kind='sgd'; use adam, adamw or schedule_free",
    ),
    (Run, TEXT | {"batch_size": None}, "batch_size is missing: data.source='corpus' has no full batch"),
    (Run, MLP | {"keep_steps": (0,)}, "keep_steps=(0,) must lie between 1 and steps - 1 = 99"),
    (Run, MLP | {"keep_steps": (100,)}, "keep_steps=(100,) must lie between 1 and steps - 1 = 99"),
    (Run, MLP | {"keep_steps": (3, 3)}, "keep_steps=(3, 3) must be different"),
    (Run, MLP | {"parent_step": 3}, "parent_step=3 has no meaning without a parent"),
    (Run, MLP | {"reset": ("data",)}, "reset=('data',) has no meaning without a parent"),
    (Run, MLP | {"parent": "a", "reset": ("date",)}, "each value is one of 'weights', 'optimizer', 'data'"),
    (Run, MLP | {"precision": "fp16"}, "precision='fp16' must be one of 'fp32', 'bf16' (did you mean 'bf16'?)"),
    (Run, MLP | {"compile": 1}, "compile=1 must be True or False"),
    (Run, MLP | {"arm": 3}, "arm=3 must be a text or None"),
    (Run, MLP | {"schedule": Schedule(warmup_steps=101)}, "schedule.warmup_steps=101 overlap: they must fit into"),
    (Run, MLP | {"schedule": Schedule(**WSD_S)}, "schedule.decay_ends=(5, 9) must end with steps=100"),
    (
        Run,
        MLP | {"schedule": Schedule(**(INFINITE | {"warmup_steps": 97}))},
        "schedule.warmup_steps=97 + cooldown_steps=2 + decay_steps=2 overlap: they must fit into steps=100",
    ),
    (
        Run,
        MLP | {"schedule": Schedule(**(WSD_S | {"decay_ends": (2, 100), "rewarm_steps": 97}))},
        "schedule.decay_ends=(2, 100): warm-up (97) and decay (2) overlap before update 100",
    ),
    (
        Run,
        MLP | {"schedule": Schedule(**(WSD_S | {"decay_ends": (5, 100), "decay_steps": (6, 0)}))},
        "schedule.decay_ends=(5, 100): warm-up (0) and decay (6) overlap before update 5",
    ),
    (
        Run,
        MLP | {"schedule": Schedule(kind="cyclic_cosine", cycle_ends=(5, 100), warmup_steps=6)},
        "schedule.cycle_ends=(5, 100): warm-up (6) and decay (0) overlap before update 5",
    ),
    (Run, MLP | {"probes": (Probe(kind="norms", steps=(101,)),)}, "probes[0].steps=(101,) must be at most steps=100"),
    (
        Run,
        MLP | {"probes": (Probe(kind="norms", every=2), Probe(kind="norms", steps=(1,)))},
        "probes[1].kind='norms' is given twice; put all of its steps into one probe",
    ),
    (Probe, {"kind": "gradients", "every": 1, "examples": 0}, "examples=0 must be at least 1"),
    (Continual, {"past": ()}, "past=() must hold the tasks before this one"),
    (Continual, PAST | {"replay": "some"}, "replay='some' must be one of 'none', 'memory', 'all'"),
    (Continual, PAST | {"replay": "memory"}, "memory is missing: replay='memory' needs the number"),
    (Continual, PAST | {"replay": "all", "memory": 9}, "memory=9 has no meaning for replay='all'"),
    (Continual, PAST | {"memory": 9}, "memory=9 has no meaning without replay='memory' or a projection"),
    (Continual, PAST | {"replay": "memory", "memory": 0}, "memory=0 must be at least 1"),
    (
        Continual,
        PAST | {"replay": "all", "selection": "reservoir"},
        "selection='reservoir' has no meaning without memory",
    ),
    (Continual, PAST | {"new_weight": 0.5}, "new_weight=0.5 has no meaning without replay"),
    (Continual, PAST | {"replay": "all", "new_weight": 1.5}, "new_weight=1.5 is a share of the loss"),
    (Continual, PAST | {"ramp_steps": 5}, "ramp_steps=5 has no meaning without another part of the loss"),
    (Continual, PAST | {"replay": "all", "ramp_steps": 0}, "ramp_steps=0 must be at least 1"),
    (Continual, PAST | {"projection": "agem", "margin": 0.5}, "margin=0.5 has no meaning without projection='gem'"),
    (Continual, PAST | {"projection": "gem", "margin": -1}, "margin=-1.0 must be at least 0"),
    (Continual, PAST | {"projection": "gme"}, "projection='gme' must be one of 'agem', 'gem'"),
    (Continual, PAST | {"temperature": 2}, "temperature=2.0 has no meaning without distillation"),
    (Continual, PAST | {"distillation": 0}, "distillation=0.0 must be greater than 0"),
    (Continual, PAST | {"consolidation": -1}, "consolidation=-1.0 must be greater than 0"),
    (Continual, PAST | {"fisher_examples": 9}, "fisher_examples=9 has no meaning without consolidation"),
    (Continual, {"past": (Data(**TEACHER), 3)}, "a tuple in which each value is made with Data(...)"),
    (Run, branch(past=(Data(**TEACHER),)), "continual.past[0] has source='teacher', but data has 'digits'"),
    (Run, branch(past=(Data(source="digits", loss="mse"),)), "continual.past[0] has loss='mse', but data has"),
    (Run, branch(replay="all", ramp_steps=101), "continual.ramp_steps=101 must be at most steps=100"),
    (Run, branch(distillation=1) | {"parent": None}, "continual.distillation=1.0 needs the weights of a parent"),
    (Run, branch(consolidation=1) | {"reset": ("weights",)}, "continual.consolidation=1.0 needs the weights of a"),
    (Run, branch(consolidation=1) | {"model": Model(kind="mlp", norm="batchnorm")}, "needs outputs of single examples"),
    (Run, branch() | {"sweep": {"lr": (1, 2)}, "stacked": True}, "which knows no past tasks; leave out stacked"),
    (
        Run,
        TEXT | {"parent": "a", "continual": Continual(past=(Data(name="cpp", context=8),), consolidation=1)},
        "continual.consolidation=1.0 has no form for tokens",
    ),
    (
        Run,
        TEXT
        | {
            "continual": Continual(
                past=(Data(name="cpp", context=8),), replay="memory", memory=9, selection="class_balanced"
            )
        },
        "continual.selection='class_balanced' needs classes, data.source='corpus' has none",
    ),
    (
        Run,
        MLP
        | {
            "parent": "a",
            "data": Data(**TEACHER),
            "continual": Continual(past=(Data(**TEACHER),), distillation=1, temperature=2),
        },
        "continual.temperature=2.0 has no meaning for the squared error",
    ),
    (
        Run,
        MLP | {"probes": (Probe(kind="gradients", every=1),)},
        "probes[0].kind='gradients' needs continual, which names the past tasks",
    ),
    *((Run, MLP | {"average": a}, f"average={float(a)} must lie between 0 and 1; without") for a in (0, 1, -0.5)),
    (Run, MLP | {"average": 0.9, "optimizer": Optimizer(kind="schedule_free")}, "evaluates an average already; leave"),
    (Run, MLP | {"average": 0.9, "sweep": {"lr": (1, 2)}, "stacked": True}, "leave out stacked=True"),
    *(
        (
            Run,
            fields | {"probes": (Probe(kind="nearest_mean", every=1, examples=9),)},
            f"kind='nearest_mean' needs classes as targets, and data.source='{source}' with loss='{loss}' has none",
        )
        for fields, source, loss in (
            (MLP | {"data": Data(source="digits", loss="mse")}, "digits", "mse"),
            (MLP | {"data": Data(**TEACHER)}, "teacher", "mse"),
            (TEXT, "corpus", "cross_entropy"),
        )
    ),
    *(
        (
            Run,
            MLP | {"data": Data(source="digits", mixed_with=Data(source="digits", rotation=9), mixed_share=0.5)} | more,
            "probes[0].examples is missing: data.mixed_with has no full batch",
        )
        for more in (
            {"batch_size": 4, "probes": (Probe(kind=kind, every=1),)} for kind in ("sharpness", "nearest_mean")
        )
    ),
    (Run, MLP | {"watched": {}}, "watched={} is empty; leave it out"),
    (
        Run,
        MLP | {"watched": {"Old": Data(source="digits", rotation=1)}},
        "watched={'Old': ...} must be named by a word",
    ),
    (Run, MLP | {"watched": {3: Data(source="digits", rotation=1)}}, "watched={3: ...} must be named by a word"),
    *(
        (
            Run,
            MLP | {"watched": {word: MLP["data"]}},
            f"watched={{'{word}': ...}} would name a column like val_accuracy_within",
        )
        for word in ("within", "within_old")
    ),
    (Run, TEXT | {"watched": {"cpp": Data(name="cpp", context=9)}}, "watched['cpp'] has context=9, but data has 8"),
    (Run, MLP | {"watched": {"a": Data(**TEACHER)}}, "watched['a'] has source='teacher', but data has 'digits'"),
    (Run, MLP | {"watched": {"a": 3}}, "a dictionary in which each value is made with Data(...)"),
    (Run, MLP | {"sweep": {}}, "sweep={} is empty; leave it out for a single run"),
    (Run, MLP | {"sweep": {"width": (1,)}}, "sweep={'width': ...} must name one of lr, seed, steps, batch_size"),
    (Run, MLP | {"sweep": {"lr": ()}}, "sweep={'lr': ()} must have different values, at least one"),
    (Run, MLP | {"sweep": {"lr": (1, 1)}}, "sweep={'lr': (1, 1)} must have different values"),
    (Run, MLP | {"sweep": {"lr": [1]}}, "a dictionary in which each value is a tuple, written (a, b)"),
    (Run, MLP | {"sweep": [1]}, "sweep=[1] must be a dictionary or None"),
    (Run, MLP | {"sweep": {"seed": (0, 0.5)}}, "sweep: seed=0.5 must be a whole number"),
    (Run, MLP | {"sweep": {"steps": (9, 50)}, "keep_steps": (9,)}, "sweep: keep_steps=(9,) must lie between 1 and"),
]


def test_every_kind_is_accepted_at_least_once():
    for cls, field in ((Model, "kind"), (Data, "source"), (Optimizer, "kind"), (Schedule, "kind"), (Probe, "kind")):
        accepted = {getattr(made(**fields), field) for made, fields in ACCEPTED if made is cls}
        assert accepted == set(typing.get_args(typing.get_type_hints(cls)[field]))


@pytest.mark.parametrize(("cls", "fields"), ACCEPTED)
def test_accepted(cls, fields):
    assert problems(cls(**fields)) == []


@pytest.mark.parametrize(("cls", "fields", "words"), REFUSED)
def test_refused_with_field_value_and_rule(cls, fields, words):
    with pytest.raises(DescriptionError) as caught:
        cls(**fields)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{cls.__name__}: ")
    with collecting():
        assert "; ".join(problems(cls(**fields))).endswith(tuple(caught.value.problems)[-1].partition(": ")[2])


def test_collecting_keeps_all_problems_of_a_nested_description_and_ends_with_the_context():
    with collecting():
        model, schedule = Model(heads=1, width=0, depth=0), Schedule(kind="wsd", decay_step=4)
        run = Run(model=model, data=Data(nam="prose"), schedule=schedule, lr="1", steps=3, seed=True)
    assert problems(run) == [
        "model.width=0 must be at least 1",
        "model.depth=0 must be at least 1",
        "data.nam='prose' is no field of Data; did you mean name?",
        "lr='1' must be a finite number",
        "seed=True must be a whole number",
        "schedule.decay_step=4 is no field of Schedule; did you mean decay_steps?",
    ]
    with pytest.raises(DescriptionError):
        Model(heads=1, width=0)


def test_collecting_finds_problems_within_dictionaries():
    with collecting():
        run = Run(**(MLP | {"watched": {"old": Data(source="digits", rotaton=80)}}))
    assert problems(run) == ["watched['old'].rotaton=80 is no field of Data; did you mean rotation?"]


def test_data_sets_of_a_run_come_once_its_own_first():
    a, b, c = (Data(source="digits", rotation=angle) for angle in (0, 10, 20))
    run = Run(**(MLP | {"data": b, "watched": {"x": a, "y": c}, "continual": Continual(past=(b, c, a))}))
    assert datasets_of(run) == [b, a, c]
    assert datasets_of(Run(**MLP)) == [MLP["data"]]


def test_a_misspelt_and_a_missing_field_are_told_together():
    with pytest.raises(DescriptionError, match=r"sed=3 is no field of Run; did you mean seed.*seed is missing"):
        Run(**{name: value for name, value in MLP.items() if name != "seed"}, sed=3)


@pytest.mark.parametrize("cls", [Model, Data, Optimizer, Schedule, Probe, Continual, Run])
def test_descriptions_are_frozen_and_take_no_positions(cls):
    made = next(made(**fields) for made, fields in ACCEPTED if made is cls)
    for field in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, getattr(made, field.name))
    with pytest.raises(TypeError, match=rf"{cls.__name__}.__init__\(\) takes 1 positional argument"):
        cls("mlp")
    with pytest.raises(DescriptionError):
        dataclasses.replace(made, nothing=1)


def test_equal_numbers_describe_the_same_training():
    for lr in (1, 1.0, np.float64(1)):
        run = Run(**(MLP | {"lr": lr}))
        assert repr(run) == repr(Run(**(MLP | {"lr": 1.0})))
        assert type(run.lr) is float


def test_full_name():
    assert [full_name("wsd", name) for name in ("a", "other/a")] == ["wsd/a", "other/a"]


def optional(strategy):
    return st.none() | strategy


counts = st.integers(1, 100)
factors = st.floats(0.01, 1)
models = st.builds(Model, kind=st.just("mlp"), width=counts, residual=optional(st.booleans()), init_gain=factors) | (
    st.builds(Model, heads=st.just(2), width=st.sampled_from([4, 8]), tied=optional(st.booleans()))
)
data = {
    "mlp": st.builds(Data, source=st.just("digits"), rotation=optional(factors), classes=optional(st.just((3, 8))))
    | st.builds(Data, **{name: st.just(value) for name, value in TEACHER.items()}, noise=optional(factors)),
    "transformer": st.builds(Data, name=st.sampled_from(CORPORA), context=st.integers(2, 64))
    | st.builds(Data, source=st.just("files"), path=st.text(), context=st.integers(2, 64)),
}
updates = st.builds(Optimizer, kind=st.just("sgd"), momentum=optional(st.floats(0, 0.99)), clip=optional(factors)) | (
    st.builds(Optimizer, kind=st.sampled_from(["adam", "adamw", "schedule_free"]), beta2=optional(st.floats(0, 0.99)))
)
schedule_parts = {
    "warmup_steps": st.integers(0, 12),
    "floor": optional(st.floats(0, 1)),
    "start": optional(st.floats(0, 1)),
    "decay_steps": optional(st.integers(0, 12) | st.just((2, 3)) | st.just((3, 9))),
    "decay_shape": optional(st.sampled_from(DECAY_SHAPES)),
    "decay_ends": optional(st.just((10, 20)) | st.just((3, 20))),
    "cycle_ends": optional(st.just((10, 20)) | st.just((20,))),
    "rewarm_steps": optional(st.integers(0, 12)),
    "cooldown_steps": optional(st.integers(0, 12)),
    "cooldown_shape": optional(st.sampled_from(DECAY_SHAPES)),
    "level": optional(st.floats(0, 1)),
}
FIELDS_OF = {
    "constant": (),
    "linear": ("floor",),
    "cosine": ("floor",),
    "wsd": ("floor", "decay_steps", "decay_shape"),
    "wsd_s": ("floor", "decay_steps", "decay_shape", "decay_ends", "rewarm_steps"),
    "cyclic_cosine": ("floor", "cycle_ends", "rewarm_steps"),
    "infinite": ("floor", "start", "cooldown_steps", "cooldown_shape", "level", "decay_steps"),
    "rewarm": ("floor", "start"),
}


@st.composite
def schedules_of_twenty(draw):
    kind = draw(st.sampled_from(list(FIELDS_OF)))
    with collecting():
        chosen = ("warmup_steps", *FIELDS_OF[kind])
        return Schedule(kind=kind, **{name: draw(schedule_parts[name]) for name in chosen})


@st.composite
def runs(draw):
    model, optimizer = draw(models), draw(updates)
    parent = draw(optional(st.sampled_from(["a", "other/a"])))
    run = Run(
        model=model,
        data=draw(data[model.kind]),
        optimizer=optimizer,
        schedule=draw(st.just(Schedule(warmup_steps=1)) | st.just(Schedule(kind="cyclic_cosine", cycle_ends=(3, 20)))),
        lr=draw(st.floats(1e-9, 1e3) | counts),
        steps=20,
        seed=draw(st.integers(0, 2**64)),
        batch_size=draw(counts),
        keep_steps=draw(st.sampled_from([(), (1,), (3, 19)])),
        parent=parent,
        parent_step=draw(optional(counts)) if parent else None,
        reset=draw(st.sampled_from([(), ("data",), ("weights", "optimizer")])) if parent else (),
        probes=draw(st.sampled_from([(), (Probe(kind="norms", steps=(0, 20)),), (Probe(kind="norms", every=3),)])),
        sweep=draw(optional(st.just({"lr": (0.1, 1), "seed": (0, 1)}))),
        average=draw(optional(st.floats(0.1, 0.9))) if optimizer.kind != "schedule_free" else None,
        arm=draw(optional(st.text())),
    )
    return dataclasses.replace(run, **draw(other_data)) if run.data.source == "digits" else run


TURNED = Data(source="digits", rotation=77)
other_data = st.fixed_dictionaries(
    {
        "watched": st.sampled_from([None, {"old": TURNED}]),
        "continual": st.none()
        | st.builds(
            Continual,
            past=st.sampled_from([(TURNED,), (TURNED, TURNED)]),
            replay=st.sampled_from(["none", "all"]),
            projection=optional(st.sampled_from(["agem", "gem"])),
        ),
    }
)


def leaves(plain):
    if isinstance(plain, dict | list):
        yield type(plain)
        for item in plain.values() if isinstance(plain, dict) else plain:
            yield from leaves(item)
    else:
        yield type(plain)


@settings(max_examples=40, deadline=None)
@given(runs())
def test_a_run_survives_its_plain_form_and_json(run):
    plain = to_dict(run)
    assert set(leaves(plain)) <= {dict, list, str, int, float, bool}
    back = run_from_dict(json.loads(json.dumps(plain)))
    assert back == run
    assert repr(back) == repr(run)
    assert to_dict(back) == plain


def test_plain_form_of_an_unknown_field_is_refused():
    plain = to_dict(Run(**MLP)) | {"colour": 1}
    with pytest.raises(DescriptionError, match="colour=1 is no field of Run"):
        run_from_dict(plain)


@settings(max_examples=150, deadline=None)
@given(schedules_of_twenty())
def test_the_description_accepts_exactly_the_schedules_that_can_be_built(schedule):
    accepted = not problems(schedule) and not list(schedule.fits(20))
    try:
        rates = schedules.rates(schedule, steps=20, lr=1.0)
    except (ValueError, TypeError):
        assert not accepted
    else:
        assert accepted
        assert len(rates) == 20


def test_members_of_a_sweep_in_order():
    run = Run(**MLP, sweep={"lr": (0.3, 1), "seed": (5, 6, 7)}, arm="x")
    singles = members(run)
    assert [(single.lr, single.seed) for single in singles] == [(0.3, 5), (0.3, 6), (0.3, 7), (1, 5), (1, 6), (1, 7)]
    assert all(single.sweep is None and single.arm == "x" and not problems(single) for single in singles)
    assert members(singles[0]) == [singles[0]]
