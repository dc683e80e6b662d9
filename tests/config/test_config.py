"""Every rule accepts and refuses; descriptions survive JSON; sweeps unfold in order."""

import dataclasses
import importlib
import json
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import (
    CORPORA,
    MLP,
    SGD,
    WSD,
    WSDS,
    Adam,
    AdamW,
    Bigram,
    Constant,
    Continual,
    Convnet,
    Corpus,
    Cosine,
    CyclicCosine,
    Data,
    DecayShape,
    Digits,
    EffectiveSharpness,
    Files,
    Gradients,
    HuggingFace,
    Infinite,
    Linear,
    Mixture,
    Model,
    ModularAddition,
    Muon,
    NearestMean,
    Norms,
    Optimizer,
    Probe,
    Rewarm,
    Run,
    Schedule,
    ScheduleFree,
    Sharpness,
    TanhTeacher,
    Teacher,
    TrainAccuracy,
    Transformer,
    ViT,
    datasets_of,
    full_name,
    identity,
    members,
    run_from_dict,
    to_dict,
)
from common.config.description import (
    DescriptionError,
    Kind,
    chosen,
    codes,
    collecting,
    description,
    field,
    implementation,
    problems,
)
from common.optim import schedules

FAMILIES = (Model, Data, Optimizer, Schedule, Probe)
DECAY_SHAPES = typing.get_args(DecayShape)

ON_DIGITS = {"model": MLP(), "data": Digits(), "lr": 0.1, "steps": 100, "seed": 0}
ON_TEXT = ON_DIGITS | {"model": Transformer(heads=2), "data": Corpus("prose", context=8), "batch_size": 4}
TEACHER = {"inputs": 3, "samples": 9, "exponent": 1.0}
TANH_TEACHER = TEACHER | {"hidden": 2, "outputs": 2}
BIGRAM = {"vocabulary": 8, "successors": 2, "context": 4}
FILE = {"path": "x.txt", "context": 2}
STREAMED = {"name": "a/b", "bytes_limit": 1, "context": 4}
TWO_ENDS = {"decay_steps": 2, "decay_ends": (5, 9)}
ENDLESS = {"cooldown_steps": 2, "level": 0.5, "decay_steps": 2}
MIXED = Mixture(Digits(), Digits(rotation=9), share=0.5)

PAST = {"past": (Digits(rotation=80),)}


def branch(**parts) -> dict:
    """Fields of a run that continues another on a new task."""
    return ON_DIGITS | {"parent": "a", "continual": Continual(**(PAST | parts))}


BLOCKS = {"residual": True, "block_layers": 2, "depth": 8}

ACCEPTED = [
    (Transformer, {"heads": 1}),
    (Transformer, {"heads": 32, "expansion": 1, "qk_norm": True, "tied": False, "width": 64, "depth": 1}),
    (Transformer, {"heads": 2, "readout_gain": 1, "base_heads": None, "depth_rule": "none"}),
    (MLP, {"residual": True, "norm": "none", "norm_place": "post", "init_gain": 1e-9}),
    (ViT, {"heads": 4, "patch": 8, "norm": "none", "width": 12}),
    (Convnet, {"norm": "none", "parametrization": "mup", "base_width": 16, "readout_gain": 0}),
    (MLP, {"parametrization": "ntp", "base_width": 100, "embedding_factor": 2}),
    (MLP, BLOCKS | {"depth_rule": "completep", "base_depth": 4, "gated": True}),
    (MLP, BLOCKS | {"depth_rule": "none", "base_depth": 4}),
    (Transformer, {"heads": 2, "parametrization": "mup", "base_width": 32, "readout_factor": 4}),
    (Transformer, {"heads": 8, "parametrization": "ntp", "base_width": 16, "base_heads": 2, "tied": False}),
    (Transformer, {"heads": 8, "base_width": 32, "base_depth": 2, "depth_rule": "depth_mup"}),
    *((Corpus, {"name": name, "context": 2, "validation_windows": 1}) for name in CORPORA),
    (Files, FILE),
    (Files, FILE | {"samples": 2, "ranked": "comments"}),
    (Corpus, {"name": "python", "context": 2, "samples": 9, "ranked": "comments", "permuted": 1}),
    (Corpus, {"name": "prose", "context": 2, "permuted": 0.02}),
    (HuggingFace, STREAMED | {"text_field": "body"}),
    (Digits, {"classes": (0, 9), "rotation": -30, "permutation": 0}),
    (Digits, {"classes": (0, 9), "split": (1, 2), "samples": 9}),
    (Teacher, TEACHER | {"noise": 0, "exponent": 0, "samples": 2, "inputs": 1}),
    (TanhTeacher, TANH_TEACHER | {"noise": 0.1, "loss": "cross_entropy"}),
    (Bigram, BIGRAM | {"successors": 4}),
    (ModularAddition, {"modulus": 5, "train_share": 0.4}),
    (Mixture, {"first": Digits(), "second": Digits(split=(0, 2)), "share": 1e-9}),
    (Mixture, {"first": Corpus("prose", context=8), "second": Files("x.txt", context=8), "share": 0.999}),
    (Mixture, {"first": MIXED, "second": MIXED, "share": 0.5}),
    (AdamW, {}),
    (Adam, {"weight_decay": 0.1}),
    (SGD, {"momentum": 0, "weight_decay": 0}),
    (SGD, {"momentum": 0.9, "nesterov": True}),
    (Muon, {"momentum": 0, "nesterov": False, "ns_steps": 1, "adjust": "original", "adam_lr_factor": 0.015}),
    (ScheduleFree, {"beta1": 0, "beta2": 0.5, "epsilon": 1e-12, "clip": 1e-3}),
    (Constant, {"warmup_steps": 5}),
    (Linear, {"floor": 0}),
    (Cosine, {"floor": 1}),
    *((WSD, {"decay_steps": 3, "decay_shape": shape, "floor": 0.01}) for shape in DECAY_SHAPES),
    (WSDS, TWO_ENDS | {"rewarm_steps": 0, "decay_shape": "linear", "floor": 0}),
    (WSDS, TWO_ENDS | {"decay_steps": (3, 0)}),
    (CyclicCosine, {"cycle_ends": (1,), "rewarm_steps": 2}),
    (Infinite, ENDLESS | {"start": 0, "floor": 0.5}),
    (Rewarm, {"start": 1, "warmup_steps": 0}),
    (Norms, {"every": 1}),
    (Norms, {"steps": (0, 4)}),
    (Sharpness, {"every": 5, "examples": 100}),
    (EffectiveSharpness, {"every": 5}),
    (Gradients, {"steps": (0, 1), "examples": 100}),
    (NearestMean, {"every": 1, "examples": 100}),
    (TrainAccuracy, {"steps": (3,), "examples": 1}),
    (Continual, PAST),
    (Continual, PAST | {"replay": "memory", "memory": 1, "selection": "class_balanced", "new_weight": 0}),
    (Continual, PAST | {"replay": "all", "ramp_steps": 1, "projection": "agem", "new_weight": 1}),
    (Continual, PAST | {"memory": 3, "projection": "gem", "margin": 0}),
    (Continual, PAST | {"distillation": 1, "temperature": 2, "ramp_steps": 9}),
    (Continual, {"past": 2 * PAST["past"], "consolidation": 10, "fisher_examples": 1, "replay": "all"}),
    (Run, ON_DIGITS | {"keep_steps": (1, 99), "evaluate_every": 1, "log_every": 1, "threads": 2, "precision": "bf16"}),
    (Run, ON_DIGITS | {"name": "a-s0", "device": "cuda", "ranks": 1}),
    (Run, ON_DIGITS | {"parent": "a", "parent_step": 5, "reset": ("weights", "optimizer", "data")}),
    (Run, ON_DIGITS | {"schedule": WSD(warmup_steps=50, decay_steps=50)}),
    (Run, ON_DIGITS | {"schedule": Infinite(**ENDLESS, warmup_steps=96)}),
    (Run, ON_DIGITS | {"schedule": WSDS(decay_steps=2, decay_ends=(2, 100), rewarm_steps=96)}),
    (Run, ON_DIGITS | {"probes": (Norms(steps=(0, 100)),)}),
    (Run, ON_DIGITS | {"sweep": {"lr": (0.1, 1), "seed": (0, 1), "steps": (7, 9), "batch_size": (1,)}}),
    (Run, ON_DIGITS | {"watched": {"old": Digits(rotation=0), "half_2": Digits(samples=9)}}),
    (Run, ON_TEXT | {"watched": {"code": Corpus("python", context=8), "own": Files("x.txt", context=8)}}),
    (Run, ON_DIGITS | {"watched": {"own": Digits(), "withinside": Digits(split=(0, 2))}}),
    (Run, ON_TEXT | {"watched": {"own": Corpus("prose", context=8, validation_windows=9)}}),
    (Run, ON_DIGITS | {"probes": (NearestMean(every=1),), "sweep": {"lr": (1, 2)}, "stacked": True}),
    (Run, ON_DIGITS | {"average": 1e-3, "sweep": {"lr": (1, 2)}, "model": MLP(norm="batchnorm")}),
    (Run, branch() | {"probes": (Gradients(every=1),), "parent": None}),
    (Run, branch(replay="all", ramp_steps=100, distillation=1.0, temperature=2.0, consolidation=1.0)),
    (Run, branch(past=(Digits(),), replay="memory", memory=9, selection="class_balanced")),
    (Run, ON_TEXT | {"continual": Continual(past=(Corpus("cpp", context=8),), replay="memory", memory=9)}),
    (Run, ON_TEXT),
    (Run, ON_TEXT | {"data": Bigram(**BIGRAM)}),
    (Run, ON_TEXT | {"data": Mixture(Corpus("python", context=8), Corpus("cpp", context=8), share=0.1)}),
    (Run, ON_DIGITS | {"data": Teacher(**TEACHER), "batch_size": 1}),
    (Run, ON_DIGITS | {"data": MIXED, "batch_size": 4, "watched": {"old": Digits(rotation=9)}}),
]

REFUSED = [
    (Transformer, {}, "heads is missing: every Transformer needs it"),
    (Transformer, {"heads": 3}, "heads=3 must divide width=64"),
    (Transformer, {"heads": 2, "width": 6}, "heads=2 gives heads of 3 features; pairs need an even number"),
    (Transformer, {"heads": 0}, "heads=0 must be at least 1"),
    (Transformer, {"heads": 1, "expansion": 0}, "expansion=0 must be at least 1"),
    (Transformer, {"heads": 1, "width": 0}, "width=0 must be at least 1"),
    (Transformer, {"heads": 1, "depth": 0}, "depth=0 must be at least 1"),
    (Transformer, {"heads": 1, "init_gain": 0}, "init_gain=0.0 must be greater than 0"),
    (Transformer, {"heads": 1, "residual": True}, "residual=True is no field of Transformer; it belongs to MLP"),
    (Transformer, {"heads": 1, "norm": "batchnorm"}, "norm='batchnorm' belongs to MLP"),
    (MLP, {"tied": False}, "tied=False is no field of MLP; it belongs to Transformer"),
    (MLP, {"qk_norm": True}, "qk_norm=True is no field of MLP; it belongs to Transformer"),
    (MLP, {"expansion": 4}, "expansion=4 is no field of MLP; it belongs to Transformer"),
    (MLP, {"heads": 2}, "heads=2 is no field of MLP; it belongs to Transformer"),
    (MLP, {"residual": 1}, "residual=1 must be True or False"),
    (MLP, {"activation": "Relu"}, "activation='Relu' must be one of 'relu', 'relu2'"),
    (MLP, {"norm": None}, "norm=None must be one of 'layernorm'"),
    (MLP, {"gated": True}, "gated=True needs residual=True"),
    (MLP, {"block_layers": 2}, "block_layers=2 needs residual=True"),
    (MLP, BLOCKS | {"block_layers": 0}, "block_layers=0 must be at least 1"),
    (MLP, {"metainit_steps": 0}, "metainit_steps=0 must be at least 1"),
    (ViT, {"heads": 4, "patch": 0}, "patch=0 must be at least 1"),
    (ViT, {"heads": 3}, "heads=3 must divide width=64"),
    (Convnet, {"norm": "batchnorm"}, "norm='batchnorm' belongs to MLP"),
    (Convnet, {"residual": True}, "residual=True is no field of Convnet; it belongs to MLP"),
    (Convnet, {"base_depth": 2}, "base_depth=2 is no field of Convnet; it belongs to Transformer"),
    (MLP, {"parametrization": "mup"}, "base_width is missing: parametrization='mup' needs the width"),
    (MLP, {"parametrization": "mpu"}, "parametrization='mpu' must be one of 'sp', 'ntp', 'mup'"),
    (MLP, {"base_width": 0}, "base_width=0 must be at least 1"),
    (MLP, {"base_heads": 2}, "base_heads=2 is no field of MLP; it belongs to Transformer"),
    (Transformer, {"heads": 2, "base_heads": 2}, "base_heads=2 has no meaning without base_width"),
    (Transformer, {"heads": 2, "base_width": 15}, "heads=2 must divide base_width=15"),
    (Transformer, {"heads": 2, "base_width": 24, "base_heads": 8}, "base_heads=8 gives heads of 3 features"),
    (
        Transformer,
        {"heads": 2, "depth_rule": "depth_mup"},
        "base_depth is missing: depth_rule='depth_mup' needs the depth",
    ),
    (MLP, {"base_depth": 2}, "depth_rule and base_depth need residual=True and block_layers"),
    (
        Transformer,
        {"heads": 2, "parametrization": "ntp", "base_width": 16},
        "'ntp' treats embedding and readout differently",
    ),
    (
        Transformer,
        {"heads": 2, "readout_gain": 0},
        "readout_gain=0.0 has no meaning for the tied readout; set tied=False",
    ),
    (MLP, {"readout_gain": -1}, "readout_gain=-1.0 must be at least 0"),
    (MLP, {"readout_factor": 0}, "readout_factor=0.0 must be greater than 0"),
    (MLP, {"embedding_factor": -2}, "embedding_factor=-2.0 must be greater than 0"),
    (Corpus, {}, "context is missing: every Corpus needs it; Corpus: name is missing: every Corpus needs it"),
    (Corpus, {"name": "rust", "context": 2}, "name='rust' must be one of 'prose', 'python', 'cpp'"),
    (Corpus, {"name": "prose", "context": 1}, "context=1 must be at least 2"),
    (Corpus, {"name": "prose", "context": 2, "validation_windows": 0}, "validation_windows=0 must be at least 1"),
    (Corpus, {"name": "prose", "context": 2, "samples": 1}, "samples=1 must be at least 2"),
    (
        Corpus,
        {"name": "python", "context": 2, "ranked": "comments"},
        "ranked='comments' has no meaning without samples",
    ),
    (
        Corpus,
        {"name": "python", "context": 2, "samples": 2, "ranked": "size"},
        "ranked='size' must be one of 'comments'",
    ),
    (
        Corpus,
        {"name": "cpp", "context": 2, "samples": 2, "ranked": "comments"},
        "ranked='comments' counts '#' comments, which name='cpp' does not have",
    ),
    *(
        (
            Corpus,
            {"name": "prose", "context": 2, "permuted": share},
            f"permuted={float(share)} must be at most 1 and exchange at least two",
        )
        for share in (1.1, 0.01, -1)
    ),
    (Files, FILE | {"permuted": 1}, "permuted=1 is no field of Files; it belongs to Corpus"),
    (HuggingFace, STREAMED | {"samples": 2}, "samples=2 is no field of HuggingFace; it belongs to Corpus, Files"),
    (Files, {"context": 2}, "path is missing: every Files needs it"),
    (Files, {"path": 3, "context": 2}, "path=3 must be a text"),
    (Digits, {"context": 2}, "context=2 is no field of Digits; it belongs to Corpus, Files, HuggingFace, Bigram"),
    (Digits, {"classes": (1,)}, "classes=(1,) must be at least two different digits"),
    (Digits, {"classes": (1, 10)}, "classes=(1, 10) must be at least two different digits"),
    (Digits, {"classes": (1, 2, 2)}, "classes=(1, 2, 2) must be at least two different digits"),
    (Digits, {"classes": (1, "2")}, "a tuple in which each value is a whole number"),
    (Digits, {"permutation": -1}, "permutation=-1 must be at least 0"),
    (Digits, {"label_noise": 1}, "label_noise=1.0 must lie in [0, 1)"),
    *(
        (Digits, {"split": split}, f"split={split} must be (i, n), part i from 0 to n - 1 of n parts")
        for split in ((0, 1), (2, 2), (-1, 3), (1,), (0, 2, 2))
    ),
    (Digits, {"split": (0, 2.5)}, "a tuple in which each value is a whole number"),
    (HuggingFace, STREAMED | {"bytes_limit": 0}, "bytes_limit=0 must be at least 1"),
    (Teacher, TEACHER | {"inputs": 0}, "inputs=0 must be at least 1"),
    (Teacher, TEACHER | {"samples": 1}, "samples=1 must be at least 2"),
    (TanhTeacher, TANH_TEACHER | {"outputs": 0}, "outputs=0 must be at least 1"),
    (TanhTeacher, {name: value for name, value in TANH_TEACHER.items() if name != "hidden"}, "hidden is missing"),
    (Teacher, TEACHER | {"hidden": 2}, "hidden=2 is no field of Teacher; it belongs to TanhTeacher"),
    (Teacher, TEACHER | {"exponent": -1}, "exponent=-1.0 must be at least 0"),
    (Teacher, TEACHER | {"noise": -1}, "noise=-1.0 must be at least 0"),
    (Bigram, BIGRAM | {"vocabulary": 1}, "vocabulary=1 must be at least 2"),
    (Bigram, BIGRAM | {"successors": 1}, "successors=1 must be at least 2"),
    (Bigram, BIGRAM | {"successors": 9}, "successors=9 must be at most half of vocabulary=8"),
    (ModularAddition, {"modulus": 1, "train_share": 0.5}, "modulus=1 must be at least 2"),
    *(
        (ModularAddition, {"modulus": 3, "train_share": share}, f"train_share={share} gives {pairs} of 9 pairs to tra")
        for share, pairs in ((0.01, 0), (0.99, 9))
    ),
    (Mixture, {"first": Digits(), "second": Digits(), "share": 0}, "share=0.0 must be greater than 0"),
    (Mixture, {"first": Digits(), "second": Digits(), "share": 1}, "share=1.0 must be below 1"),
    (Mixture, {"first": Digits(), "second": 3, "share": 0.1}, "second=3 must be one of Corpus, Files, HuggingFace"),
    (
        Mixture,
        {"first": Digits(), "second": Teacher(**TEACHER), "share": 0.1},
        "second has kind='teacher', but data has 'digits'",
    ),
    (
        Mixture,
        {"first": Corpus("cpp", context=8), "second": Corpus("cpp", context=9), "share": 0.1},
        "second has context=9, but data has 8: one network reads both, so make them equal",
    ),
    (SGD, {"beta1": 0.9}, "beta1=0.9 is no field of SGD; it belongs to Adam, AdamW"),
    (AdamW, {"momentum": 0.9}, "momentum=0.9 is no field of AdamW; it belongs to SGD"),
    (SGD, {"momentum": 1}, "momentum=1.0 must lie in [0, 1)"),
    (SGD, {"momentum": None}, "momentum=None must be a finite number"),
    (AdamW, {"beta1": 1.0}, "beta1=1.0 must lie in [0, 1)"),
    (AdamW, {"beta2": -0.1}, "beta2=-0.1 must lie in [0, 1)"),
    (AdamW, {"epsilon": 0}, "epsilon=0.0 must be greater than 0"),
    (AdamW, {"clip": 0}, "clip=0.0 must be greater than 0"),
    (AdamW, {"weight_decay": -1}, "weight_decay=-1.0 must be at least 0"),
    (SGD, {"nesterov": True}, "nesterov=True needs a momentum greater than 0"),
    (Muon, {"momentum": 1}, "momentum=1.0 must lie in [0, 1)"),
    (Muon, {"ns_steps": 0}, "ns_steps=0 must lie in [1, 100)"),
    (Muon, {"adjust": "match"}, "adjust='match' must be one of 'original', 'match_rms_adamw'"),
    (Muon, {"adam_lr_factor": 0}, "adam_lr_factor=0.0 must be greater than 0"),
    (Constant, {"warmup_steps": -1}, "warmup_steps=-1 must be at least 0"),
    (WSD, {"decay_steps": -1}, "decay_steps=-1 must be at least 0"),
    (Constant, {"floor": 0.1}, "floor=0.1 is no field of Constant; it belongs to Linear, Cosine"),
    (Linear, {"floor": 1.1}, "floor=1.1 is a factor of the peak and must lie in [0, 1]"),
    (Rewarm, {"start": -0.1}, "start=-0.1 is a factor of the peak"),
    (Infinite, ENDLESS | {"level": 1.5}, "level=1.5 is a factor of the peak"),
    (Infinite, ENDLESS | {"floor": 0.6}, "floor=0.6 must be above 0 and at most level=0.5"),
    (Infinite, ENDLESS | {"floor": 0}, "floor=0.0 must be above 0 and at most level=0.5"),
    (Infinite, ENDLESS | {"level": 0.05}, "floor=0.1 must be above 0 and at most level=0.05"),
    (Infinite, ENDLESS | {"cooldown_steps": -1}, "cooldown_steps=-1 must be at least 0"),
    (WSDS, TWO_ENDS | {"rewarm_steps": -1}, "rewarm_steps=-1 must be at least 0"),
    (WSDS, TWO_ENDS | {"decay_shape": "inverse", "floor": 0}, "never reached by a decay of shape 'inverse'"),
    (WSD, {"decay_steps": 2, "decay_shape": "inverse", "floor": 0}, "never reached by a decay of shape 'inverse'"),
    (WSDS, TWO_ENDS | {"decay_shape": "exponential", "floor": 0}, "never reached by a decay of shape 'exponential'"),
    (WSDS, TWO_ENDS | {"decay_steps": (1,)}, "decay_steps=(1,) must have one number for each of decay_ends=(5, 9)"),
    (WSDS, TWO_ENDS | {"decay_steps": ()}, "decay_steps=() must have one number for each of decay_ends=(5, 9)"),
    (WSDS, TWO_ENDS | {"decay_steps": (1, -1)}, "decay_steps=(1, -1) must be at least 0"),
    (WSD, {"decay_steps": (1,)}, "decay_steps=(1,) must be a whole number"),
    (WSDS, TWO_ENDS | {"decay_ends": ()}, "decay_ends=() must be increasing counts of updates"),
    (WSDS, TWO_ENDS | {"decay_ends": (9, 5)}, "decay_ends=(9, 5) must be increasing counts of updates"),
    (CyclicCosine, {"cycle_ends": (0, 5)}, "cycle_ends=(0, 5) must be increasing counts"),
    (CyclicCosine, {"cycle_ends": (5, 5)}, "cycle_ends=(5, 5) must be increasing counts"),
    (Norms, {}, "every=None, steps=None: give exactly one of the two"),
    (Norms, {"every": 1, "steps": (1,)}, "every=1, steps=(1,): give exactly one of the two"),
    (Norms, {"every": 0}, "every=0 must be at least 1"),
    (Norms, {"every": 1, "examples": 9}, "examples=9 is no field of Norms; it belongs to Sharpness"),
    (Norms, {"steps": (0, -1)}, "steps=(0, -1) must not be negative"),
    (Run, ON_DIGITS | {"steps": 0}, "steps=0 must be at least 1"),
    (Run, ON_DIGITS | {"batch_size": 0}, "batch_size=0 must be at least 1"),
    (Run, ON_DIGITS | {"log_every": 0}, "log_every=0 must be at least 1"),
    (Run, ON_DIGITS | {"evaluate_every": 0}, "evaluate_every=0 must be at least 1"),
    (Run, ON_DIGITS | {"threads": 0}, "threads=0 must be at least 1"),
    (Run, ON_DIGITS | {"ranks": 0}, "ranks=0 must be at least 1"),
    (Run, ON_DIGITS | {"ranks": 2}, "ranks=2 must divide batch_size=None: each takes its slice of a batch"),
    (
        Run,
        ON_DIGITS | {"ranks": 2, "batch_size": 5},
        "ranks=2 must divide batch_size=5: each takes its slice of a batch",
    ),
    (
        Run,
        ON_DIGITS | {"ranks": 2, "batch_size": 4, "sweep": {"lr": (0.1, 0.2)}, "stacked": True},
        "ranks=2 trains one member at a time; leave out stacked=True",
    ),
    (
        Run,
        ON_DIGITS | {"ranks": 2, "batch_size": 4, "continual": Continual(past=(Digits(rotation=45.0),))},
        "ranks=2 has no form for past tasks; leave out ranks or continual",
    ),
    (
        Run,
        ON_DIGITS | {"ranks": 2, "batch_size": 4, "model": MLP(width=4, depth=1, norm="batchnorm")},
        "ranks=2 would norm each slice of a batch by itself; leave out ranks, or norm='batchnorm'",
    ),
    (Run, ON_DIGITS | {"device": "tpu"}, "device='tpu' must be one of 'cpu', 'cuda'"),
    (Run, ON_DIGITS | {"name": 3}, "name=3 must be a text"),
    (Run, ON_DIGITS | {"seed": -1}, "seed=-1 must be at least 0"),
    (Run, ON_DIGITS | {"lr": 0}, "lr=0.0 must be greater than 0"),
    (Run, ON_DIGITS | {"lr": None}, "lr=None must be a finite number"),
    (
        Run,
        ON_DIGITS | {"model": ON_TEXT["model"]},
        "model.kind='transformer' reads tokens, but data.kind='digits' gives images or vectors",
    ),
    (Run, ON_TEXT | {"model": MLP()}, "model.kind='mlp' reads vectors, but data.kind='corpus' gives tokens"),
    (Run, ON_TEXT | {"model": Convnet()}, "model.kind='convnet' reads images, but data.kind='corpus' gives tokens"),
    (
        Run,
        ON_DIGITS | {"model": Convnet(), "data": Teacher(**TEACHER)},
        "'convnet' reads images, but data.kind='teacher' gives vectors",
    ),
    (
        Run,
        ON_DIGITS | {"model": "mlp"},
        "model='mlp' must be one of Transformer, ",
    ),
    *((Run, ON_DIGITS | {"model": near}, " (did you mean MLP(...)?)") for near in ("mlp", "MPL", MLP)),
    (Run, ON_DIGITS | {"optimizer": "sgd"}, " (did you mean SGD(...)?)"),
    (Run, ON_DIGITS | {"continual": 3}, "continual=3 must be made with Continual(...) or None"),
    (
        Run,
        ON_DIGITS | {"model": MLP(parametrization="sp_layerwise", base_width=32), "optimizer": SGD()},
        "model.parametrization='sp_layerwise' has no rates for optimizer.kind='sgd'; it has some for Adam, AdamW",
    ),
    (Run, ON_TEXT | {"batch_size": None}, "batch_size is missing: data.kind='corpus' has no full batch"),
    (Run, ON_DIGITS | {"data": MIXED}, "batch_size is missing: data.kind='mixture' has no full batch"),
    (Run, ON_DIGITS | {"keep_steps": (0,)}, "keep_steps=(0,) must lie between 1 and steps - 1 = 99"),
    (Run, ON_DIGITS | {"keep_steps": (100,)}, "keep_steps=(100,) must lie between 1 and steps - 1 = 99"),
    (Run, ON_DIGITS | {"keep_steps": (3, 3)}, "keep_steps=(3, 3) must be different"),
    (Run, ON_DIGITS | {"parent_step": 3}, "parent_step=3 has no meaning without a parent"),
    (Run, ON_DIGITS | {"reset": ("data",)}, "reset=('data',) has no meaning without a parent"),
    (Run, ON_DIGITS | {"parent": "a", "reset": ("date",)}, "each value is one of 'weights', 'optimizer', 'data'"),
    (Run, ON_DIGITS | {"precision": "fp16"}, "precision='fp16' must be one of 'fp32', 'bf16' (did you mean 'bf16'?)"),
    (Run, ON_DIGITS | {"compile": 1}, "compile=1 must be True or False"),
    (Run, ON_DIGITS | {"arm": 3}, "arm=3 must be a text or None"),
    (
        Run,
        ON_DIGITS | {"schedule": Constant(warmup_steps=101)},
        "schedule.warmup_steps=101 overlap: they must fit into",
    ),
    (Run, ON_DIGITS | {"schedule": WSDS(**TWO_ENDS)}, "schedule.decay_ends=(5, 9) must end with steps=100"),
    (
        Run,
        ON_DIGITS | {"schedule": Infinite(**ENDLESS, warmup_steps=97)},
        "schedule.warmup_steps=97 + cooldown_steps=2 + decay_steps=2 overlap: they must fit into steps=100",
    ),
    (
        Run,
        ON_DIGITS | {"schedule": WSDS(decay_steps=2, decay_ends=(2, 100), rewarm_steps=97)},
        "schedule.decay_ends=(2, 100): warm-up (97) and decay (2) overlap before update 100",
    ),
    (
        Run,
        ON_DIGITS | {"schedule": WSDS(decay_steps=(6, 0), decay_ends=(5, 100))},
        "schedule.decay_ends=(5, 100): warm-up (0) and decay (6) overlap before update 5",
    ),
    (
        Run,
        ON_DIGITS | {"schedule": CyclicCosine(cycle_ends=(5, 100), warmup_steps=6)},
        "schedule.cycle_ends=(5, 100): warm-up (6) and decay (0) overlap before update 5",
    ),
    (Run, ON_DIGITS | {"probes": (Norms(steps=(101,)),)}, "probes[0].steps=(101,) must be at most steps=100"),
    (
        Run,
        ON_DIGITS | {"probes": (Norms(every=2), Norms(steps=(1,)))},
        "probes[1]: 'norms' is given twice; put all of its steps into one probe",
    ),
    (Gradients, {"every": 1, "examples": 0}, "examples=0 must be at least 1"),
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
    (Continual, {"past": (Teacher(**TEACHER), 3)}, "a tuple in which each value is one of Corpus, Files"),
    (Run, branch(past=(Teacher(**TEACHER),)), "continual.past[0] has kind='teacher', but data has 'digits'"),
    (Run, branch(past=(Digits(loss="mse"),)), "continual.past[0] has loss='mse', but data has"),
    (Run, branch(past=(MIXED,)), "continual.past[0] is mixed, but its examples are read by themselves"),
    (Run, branch(replay="all", ramp_steps=101), "continual.ramp_steps=101 must be at most steps=100"),
    (Run, branch(distillation=1) | {"parent": None}, "continual.distillation=1.0 needs the weights of a parent"),
    (Run, branch(consolidation=1) | {"reset": ("weights",)}, "continual.consolidation=1.0 needs the weights of a"),
    (Run, branch(consolidation=1) | {"model": MLP(norm="batchnorm")}, "needs outputs of single examples"),
    (Run, branch() | {"sweep": {"lr": (1, 2)}, "stacked": True}, "which knows no past tasks; leave out stacked"),
    (
        Run,
        ON_TEXT | {"parent": "a", "continual": Continual(past=(Corpus("cpp", context=8),), consolidation=1)},
        "continual.consolidation=1.0 has no form for tokens",
    ),
    (
        Run,
        ON_TEXT
        | {
            "continual": Continual(
                past=(Corpus("cpp", context=8),), replay="memory", memory=9, selection="class_balanced"
            )
        },
        "continual.selection='class_balanced' needs classes, data.kind='corpus' has none",
    ),
    (
        Run,
        ON_DIGITS
        | {
            "parent": "a",
            "data": Teacher(**TEACHER),
            "continual": Continual(past=(Teacher(**TEACHER),), distillation=1, temperature=2),
        },
        "continual.temperature=2.0 has no meaning for the squared error",
    ),
    (
        Run,
        ON_DIGITS | {"probes": (Gradients(every=1),)},
        "probes[0]: 'gradients' needs continual, which names the past tasks",
    ),
    *((Run, ON_DIGITS | {"average": a}, f"average={float(a)} must lie between 0 and 1; without") for a in (0, 1, -0.5)),
    (Run, ON_DIGITS | {"average": 0.9, "optimizer": ScheduleFree()}, "evaluates an average already; leave"),
    (Run, ON_DIGITS | {"average": 0.9, "sweep": {"lr": (1, 2)}, "stacked": True}, "leave out stacked=True"),
    *(
        (
            Run,
            fields | {"probes": (NearestMean(every=1, examples=9),)},
            f"'nearest_mean' needs classes as targets, and data.kind='{kind}' with loss='{loss}' has none",
        )
        for fields, kind, loss in (
            (ON_DIGITS | {"data": Digits(loss="mse")}, "digits", "mse"),
            (ON_DIGITS | {"data": Teacher(**TEACHER)}, "teacher", "mse"),
            (ON_TEXT, "corpus", "cross_entropy"),
        )
    ),
    *(
        (
            Run,
            ON_DIGITS | {"data": MIXED, "batch_size": 4, "probes": (probe(every=1),)},
            "needs examples, how many to read: data.kind='mixture' has no full batch",
        )
        for probe in (Sharpness, NearestMean)
    ),
    (Run, ON_DIGITS | {"watched": {}}, "watched={} is empty; leave it out"),
    (Run, ON_DIGITS | {"watched": {"Old": Digits(rotation=1)}}, "watched={'Old': ...} must be named by a word"),
    (Run, ON_DIGITS | {"watched": {3: Digits(rotation=1)}}, "watched={3: ...} must be named by a word"),
    *(
        (
            Run,
            ON_DIGITS | {"watched": {word: Digits()}},
            f"watched={{'{word}': ...}} would name a column like val_accuracy_within",
        )
        for word in ("within", "within_old")
    ),
    (Run, ON_TEXT | {"watched": {"cpp": Corpus("cpp", context=9)}}, "watched['cpp'] has context=9, but data has 8"),
    (
        Run,
        ON_DIGITS | {"watched": {"a": Teacher(**TEACHER)}},
        "watched['a'] has kind='teacher', but data has 'digits'",
    ),
    (Run, ON_DIGITS | {"watched": {"a": 3}}, "a dictionary in which each value is one of Corpus, Files"),
    (Run, ON_DIGITS | {"sweep": {}}, "sweep={} is empty; leave it out for a single run"),
    (Run, ON_DIGITS | {"sweep": {"width": (1,)}}, "sweep={'width': ...} must name one of lr, seed, steps, batch_size"),
    (Run, ON_DIGITS | {"sweep": {"lr": ()}}, "sweep={'lr': ()} must have different values, at least one"),
    (Run, ON_DIGITS | {"sweep": {"lr": (1, 1)}}, "sweep={'lr': (1, 1)} must have different values"),
    (Run, ON_DIGITS | {"sweep": {"lr": [1]}}, "a dictionary in which each value is a tuple, written (a, b)"),
    (Run, ON_DIGITS | {"sweep": [1]}, "sweep=[1] must be a dictionary or None"),
    (Run, ON_DIGITS | {"sweep": {"seed": (0, 0.5)}}, "sweep: seed=0.5 must be a whole number"),
    (
        Run,
        ON_DIGITS | {"sweep": {"steps": (9, 50)}, "keep_steps": (9,)},
        "sweep: keep_steps=(9,) must lie between 1 and",
    ),
]


def test_every_kind_is_accepted_at_least_once():
    accepted = {made for made, _ in ACCEPTED}
    for family in FAMILIES:
        assert set(family.kinds().values()) <= accepted


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


WRITTEN_NOW = [
    (Model, {"kind": "mlp"}, "kind='mlp' is a class now: write MLP()"),
    (Model, {"kind": "mlp", "width": 8, "gated": None}, "kind='mlp' is a class now: write MLP(width=8)"),
    (Model, {"heads": 2}, "kind is not named: it was transformer in the first edition, so write Transformer(heads=2)"),
    (Model, {"kind": "mpl"}, "kind='mpl' is no kind of Model; did you mean MLP()?"),
    (Model, {"residual": True}, "kind is not named: write Model as one of its kinds, MLP"),
    (Data, {"source": "digits"}, "source='digits' is a class now: write Digits()"),
    (
        Data,
        {"name": "prose", "context": 8},
        "kind is not named: it was corpus in the first edition, so write Corpus('prose', context=8)",
    ),
    (
        Data,
        {"source": "files", "context": 8, "path": "x"},
        "source='files' is a class now: write Files('x', context=8)",
    ),
    (
        Data,
        {"source": "digits", "mixed_with": Digits(), "mixed_share": 0.5},
        "source='digits' is a class now: write Digits(); to mix two data sets write Mixture(first, second, share=...)",
    ),
    *(
        (
            kind,
            fields | {"mixed_with": kind(**fields)},
            f"mixed_with=... is no field of {kind.__name__}; to mix two data sets write Mixture(first, second, ",
        )
        for kind, fields in (
            (Corpus, {"name": "cpp", "context": 8}),
            (Files, FILE),
            (HuggingFace, STREAMED),
            (Digits, {}),
            (Teacher, TEACHER),
            (TanhTeacher, TANH_TEACHER),
            (Bigram, BIGRAM),
        )
    ),
    (
        Data,
        {"source": "mixture", "second": 1, "share": 0.5},
        "source='mixture' is a class now: write Mixture(second=1, ",
    ),
    (Digits, {"source": "digits"}, "source='digits' is no field of Digits; the class is the kind, so leave it out"),
    (MLP, {"kind": "mlp"}, "kind='mlp' is no field of MLP; the class is the kind, so leave it out"),
    (Optimizer, {"clip": 1}, "kind is not named: it was adamw in the first edition, so write AdamW(clip=1)"),
    (Optimizer, {"kind": "sgd", "momentum": 0.9}, "kind='sgd' is a class now: write SGD(momentum=0.9)"),
    (Optimizer, {"kind": "lion"}, "kind='lion' is no kind of Optimizer; the kinds are SGD, Adam, AdamW, "),
    (Optimizer, {"kind": 3}, "kind='3' is no kind of Optimizer; the kinds are SGD"),
    (Schedule, {}, "kind is not named: it was constant in the first edition, so write Constant()"),
    (
        Schedule,
        {"warmup_steps": 5},
        "kind is not named: it was constant in the first edition, so write Constant(warmup_steps=5)",
    ),
    (Schedule, {"decay_steps": 5}, "kind is not named: write Schedule as one of its kinds, WSD, Infinite, WSDS"),
    (Schedule, {"kind": "wsd_s", "decay_steps": 5}, "kind='wsd_s' is a class now: write WSDS(decay_steps=5)"),
    (Probe, {"kind": "norms", "every": 1}, "kind='norms' is a class now: write Norms(every=1)"),
    (Probe, {"every": 1}, "kind is not named: write Probe as one of its kinds, Norms, Sharpness"),
]


@pytest.mark.parametrize(("cls", "fields", "words"), WRITTEN_NOW)
def test_spellings_of_the_first_edition_say_how_it_is_written_now(cls, fields, words):
    with pytest.raises(DescriptionError) as caught:
        cls(**fields)
    assert str(caught.value).startswith(f"{cls.__name__}: {words}")
    with collecting():
        assert problems(cls(**fields)) == [
            problem.removeprefix(f"{cls.__name__}: ") for problem in caught.value.problems
        ]


def test_what_is_to_be_written_for_the_first_edition_makes_the_kind():
    for family in FAMILIES:
        for word, kind in family.kinds().items():
            fields = next(fields for made, fields in ACCEPTED if made is kind)
            with pytest.raises(DescriptionError) as caught:
                family(**{"source" if family is Data else "kind": word}, **fields)
            assert eval(str(caught.value).partition(": write ")[2]) == kind(**fields)


def test_collecting_keeps_all_problems_of_a_nested_description_and_ends_with_the_context():
    with collecting():
        model, schedule = Transformer(heads=1, width=0, depth=0), WSD(decay_step=4)
        run = Run(model=model, data=Corpus(nam="prose", context=8), schedule=schedule, lr="1", steps=3, seed=True)
    assert problems(run) == [
        "model.width=0 must be at least 1",
        "model.depth=0 must be at least 1",
        "data.nam='prose' is no field of Corpus; did you mean name?",
        "data.name is missing: every Corpus needs it",
        "lr='1' must be a finite number",
        "seed=True must be a whole number",
        "schedule.decay_step=4 is no field of WSD; did you mean decay_steps?",
        "schedule.decay_steps is missing: every WSD needs it",
    ]
    with pytest.raises(DescriptionError):
        Transformer(heads=1, width=0)


def test_collecting_keeps_families_that_name_no_kind():
    with collecting():
        run = Run(**(ON_DIGITS | {"data": Data(source="digits"), "probes": (Probe(kind="norms", every=1),)}))
    assert problems(run) == [
        "data.source='digits' is a class now: write Digits()",
        "probes[0].kind='norms' is a class now: write Norms(every=1)",
    ]


def test_collecting_finds_problems_within_dictionaries():
    with collecting():
        run = Run(**(ON_DIGITS | {"watched": {"old": Digits(rotaton=80)}}))
    assert problems(run) == ["watched['old'].rotaton=80 is no field of Digits; did you mean rotation?"]


def test_data_sets_of_a_run_come_once_its_own_first():
    a, b, c = (Digits(rotation=angle) for angle in (0, 10, 20))
    run = Run(**(ON_DIGITS | {"data": b, "watched": {"x": a, "y": c}, "continual": Continual(past=(b, c, a))}))
    assert datasets_of(run) == [b, a, c]
    assert datasets_of(Run(**ON_DIGITS)) == [ON_DIGITS["data"]]


def test_a_misspelt_and_a_missing_field_are_told_together():
    with pytest.raises(DescriptionError, match=r"sed=3 is no field of Run; did you mean seed.*seed is missing"):
        Run(**{name: value for name, value in ON_DIGITS.items() if name != "seed"}, sed=3)


PLACED = {Corpus: ("prose",), Files: ("x",), HuggingFace: ("a/b",), Mixture: (Digits(), Digits()), Run: ("a",)}
"""What may stand without a name."""


@pytest.mark.parametrize("cls", dict.fromkeys(made for made, _ in ACCEPTED))
def test_descriptions_are_frozen_and_take_no_positions_but_names(cls):
    fields = next(fields for made, fields in ACCEPTED if made is cls)
    made = cls(**fields)
    for each in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, each.name, getattr(made, each.name))
    first = PLACED.get(cls, ())
    with pytest.raises(TypeError, match=rf"^{cls.__name__} was given {len(first) + 1} values? without a name; "):
        cls(*first, "mlp")
    with pytest.raises(DescriptionError):
        dataclasses.replace(made, nothing=1)


def test_a_name_stands_first_or_is_named_but_not_both():
    assert Corpus("prose", context=8) == Corpus(name="prose", context=8)
    assert Mixture(Digits(), Digits(split=(0, 2)), share=0.5).second == Digits(split=(0, 2))
    assert dataclasses.replace(Run("a", **ON_DIGITS), name="b").name == "b"
    with pytest.raises(TypeError, match="Corpus was given name twice"):
        Corpus("prose", name="cpp", context=8)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_takes_no_positions(family):
    with pytest.raises(TypeError, match=f"{family.__name__} was given 1 value without a name; name every field"):
        family("mlp")


@pytest.mark.parametrize("family", FAMILIES)
def test_words_of_kinds_lead_to_their_implementation(family):
    kinds = family.kinds()
    assert len(kinds) > 1
    for word, kind in kinds.items():
        assert kind.kind == word
        fields = next(fields for made, fields in ACCEPTED if made is kind)
        assert callable(implementation(kind(**fields)))


@pytest.mark.parametrize(("cls", "fields"), ACCEPTED)
def test_all_code_that_a_description_chooses_exists(cls, fields):
    made = cls(**fields)
    for code in codes(made):
        module, _, name = code.partition(":")
        assert name in vars(importlib.import_module(module)), code
    for each in dataclasses.fields(made):
        if each.metadata.get("choice") and getattr(made, each.name) is not None:
            assert chosen(made, each.name) is not None


def test_equal_numbers_describe_the_same_training():
    for lr in (1, 1.0, np.float64(1)):
        run = Run(**(ON_DIGITS | {"lr": lr}))
        assert repr(run) == repr(Run(**(ON_DIGITS | {"lr": 1.0})))
        assert type(run.lr) is float


def test_numbers_of_numpy_are_numbers():
    given = {"lr": np.float32(0.5), "steps": np.int64(10), "seed": np.arange(3)[2], "keep_steps": (np.int32(4), 5)}
    run = Run(**(ON_DIGITS | given | {"sweep": {"seed": tuple(np.arange(3, 5)), "lr": (np.float32(0.25), 0.5)}}))
    plain = {"lr": 0.5, "steps": 10, "seed": 2, "keep_steps": (4, 5), "sweep": {"seed": (3, 4), "lr": (0.25, 0.5)}}
    assert repr(run) == repr(Run(**(ON_DIGITS | plain)))
    assert json.dumps(to_dict(run)) == json.dumps(to_dict(Run(**(ON_DIGITS | plain))))
    for wrong in (np.float64("nan"), np.array([0.1])):
        with pytest.raises(DescriptionError, match=r"lr=.* must be a finite number"):
            Run(**(ON_DIGITS | {"lr": wrong}))
    with pytest.raises(DescriptionError, match=r"steps=10\.0 must be a whole number"):
        Run(**(ON_DIGITS | {"steps": np.float64(10)}))


def test_full_name():
    assert [full_name("wsd", name) for name in ("a", "other/a")] == ["wsd/a", "other/a"]


# What decides, and what is shown


def edited(cls, **changes: tuple[type, object]) -> type:
    """A class as it would be after an edit: under the same words, with further fields or other defaults."""
    hints = {name: hint for name, (hint, _) in changes.items()}
    defaults = {name: default for name, (_, default) in changes.items()}
    return description(type(cls.__name__, (cls,), {"__annotations__": hints, **defaults}))


NEUTRAL = {
    "a number": (float, field(default=0.0, neutral=0.0), 0.1),
    "a word": (str, field(default="none", neutral="none"), "some"),
    "left out": (int | None, None, 0),
    "off": (bool, False, True),
    "nothing": (tuple[int, ...], (), (1,)),
    "a label": (str, field(default="", label=True), None),
}


@pytest.mark.parametrize(("hint", "default", "other"), NEUTRAL.values(), ids=NEUTRAL)
@pytest.mark.parametrize(
    ("place", "before"),
    [("model", MLP), ("data", Digits), ("optimizer", AdamW), ("schedule", Constant), (None, Run)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_new_field_with_a_neutral_default_leaves_identities_as_they_are(place, before, hint, default, other):
    later = edited(before, fresh=(hint, default))
    old = Run(**ON_DIGITS)
    new, set_ = (
        later(**ON_DIGITS, **fields) if place is None else dataclasses.replace(old, **{place: later(**fields)})
        for fields in ({}, {} if other is None else {"fresh": other})
    )
    assert identity(new) == identity(old)
    assert to_dict(new) != to_dict(old)
    assert (identity(set_) == identity(old)) == (other is None)


def test_a_new_field_without_a_neutral_default_changes_the_identity_of_its_users():
    for default in (0.5, "gelu", True, field(default=0.0)):
        later = edited(MLP, fresh=(type(default) if not isinstance(default, dataclasses.Field) else float, default))
        assert identity(Run(**(ON_DIGITS | {"model": later()}))) != identity(Run(**ON_DIGITS))


CHANGED = [
    ("optimizer", AdamW, {"beta2": (float, 0.99)}),
    ("model", MLP, {"activation": (str, "gelu"), "depth": (int, 4)}),
    ("data", Digits, {"loss": (str, "mse")}),
    ("schedule", Linear, {"floor": (float, 0.2)}),
    ("optimizer", AdamW, {"weight_decay": (float, field(default=0.1, neutral=0.0))}),
]


@pytest.mark.parametrize(("place", "before", "changes"), CHANGED)
def test_a_changed_default_changes_the_identity_of_those_who_left_it_out(place, before, changes):
    later = edited(before, **changes)
    old, new = ({name: getattr(made(), name) for name in changes} for made in (before, later))
    assert old != new

    def decides(described):
        return identity(Run(**(ON_DIGITS | {place: described})))

    assert decides(later()) != decides(before())
    assert decides(later(**old)) == decides(before(**old)) == decides(before())
    assert decides(later(**new)) == decides(before(**new)) == decides(later())


def fruits(colour: str) -> tuple[type, type]:
    """Two kinds of a family that no run has, as they are with one default."""

    @description
    class Fruit(Kind):
        weight: float = field(default=1.0, neutral=1.0)

        def _rules(self):
            yield from ()

    default = colour

    @description
    class Apple(Fruit):
        kind = "apple"
        colour: str = default

    @description
    class Pear(Fruit):
        kind = "pear"
        stalk: bool = True

    return Apple, Pear


def test_a_changed_default_changes_no_other_kind():
    (apple, pear), (changed, same) = fruits("red"), fruits("green")
    assert identity(apple()) == {"kind": "apple", "colour": "red"}
    assert identity(changed()) == {"kind": "apple", "colour": "green"}
    assert identity(changed(colour="red")) == identity(apple())
    assert identity((pear(), pear(weight=2))) == identity((same(), same(weight=2)))
    assert to_dict(pear()) == {"kind": "pear", "weight": 1.0, "stalk": True}


def test_words_of_kinds_are_unique_and_edits_in_tests_add_none():
    words = [word for family in FAMILIES for word in family.kinds()]
    assert len(set(words)) == len(words)
    assert MLP in Model.kinds().values() and edited(MLP) not in Model.kinds().values()


def shown(value):
    """A description as its own fields say it, written out without the code under test."""
    if dataclasses.is_dataclass(value):
        kind = {"kind": value.kind} if isinstance(value, Kind) else {}
        return kind | {each.name: shown(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [shown(item) for item in value]
    return {key: shown(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(("cls", "fields"), ACCEPTED)
def test_the_plain_form_shows_every_value(cls, fields):
    assert to_dict(cls(**fields)) == shown(cls(**fields))


def test_the_plain_form_shows_defaults_and_the_identity_only_what_decides():
    optimizer = to_dict(Run("a", **ON_DIGITS, arm="x"))["optimizer"]
    assert optimizer == {
        "kind": "adamw", "weight_decay": 0.0, "clip": None, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8,
    }  # fmt: skip
    assert identity(SGD()) == {"kind": "sgd"}
    assert identity(SGD(momentum=0.9, weight_decay=0.1)) == {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.1}
    assert identity(AdamW()) == {"kind": "adamw", "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}
    assert identity(Digits()) == {"kind": "digits", "loss": "cross_entropy"}
    assert identity(Linear()) == {"kind": "linear", "floor": 0.1}


def test_names_are_labels_and_arms_are_not():
    a, b, armed = (Run(*name, **ON_DIGITS, **arm) for name, arm in ((("a",), {}), ((), {}), ((), {"arm": "x"})))
    assert identity(a) == identity(b) != identity(armed)
    assert to_dict(a)["name"] == "a"
    assert "name" not in identity(a)


def test_different_descriptions_have_different_identities():
    made = [cls(**fields) for cls, fields in ACCEPTED]
    for i, one in enumerate(made):
        for other in made[:i]:
            different = identity(one) != identity(other)
            assert different == (one != other), (one, other)


def optional(strategy):
    return st.none() | strategy


def some(**strategies):
    """Fields, each of which may be left out."""
    return st.fixed_dictionaries({}, optional=strategies)


counts = st.integers(1, 100)
factors = st.floats(0.01, 1)
models = st.builds(MLP, width=counts, residual=st.booleans(), init_gain=factors) | (
    st.builds(Transformer, heads=st.just(2), width=st.sampled_from([4, 8]), tied=st.booleans())
)
digits = st.builds(Digits, rotation=factors, classes=optional(st.just((3, 8))))
texts = st.builds(Corpus, st.sampled_from(CORPORA), context=st.just(16)) | (
    st.builds(Files, st.text(), context=st.just(16))
)


def perhaps_mixed(strategy):
    return strategy | st.builds(Mixture, strategy, strategy, share=st.floats(0.01, 0.99))


data = {
    "mlp": perhaps_mixed(digits)
    | st.builds(Teacher, **{name: st.just(value) for name, value in TEACHER.items()}, noise=factors),
    "transformer": perhaps_mixed(texts),
}
updates = st.builds(SGD, momentum=st.floats(0, 0.99), clip=optional(factors)) | st.one_of(
    *(st.builds(kind, beta2=st.floats(0, 0.99)) for kind in (Adam, AdamW, ScheduleFree))
)
falls = {"floor": st.floats(0, 1)}
decay_steps, shapes = st.integers(0, 12), st.sampled_from(DECAY_SHAPES)
cycles = falls | {"rewarm_steps": st.integers(0, 12)}
ends = st.just((10, 20)) | st.just((3, 20)) | st.just((20,)) | st.just((3, 19))
FIELDS_OF = {
    Constant: some(),
    Linear: some(**falls),
    Cosine: some(**falls),
    WSD: some(**falls, decay_steps=decay_steps, decay_shape=shapes),
    WSDS: some(
        **cycles, decay_steps=decay_steps | st.just((2, 3)) | st.just((3, 9)), decay_shape=shapes, decay_ends=ends
    ),
    CyclicCosine: some(**cycles, cycle_ends=ends),
    Infinite: some(
        **falls,
        start=st.floats(0, 1),
        cooldown_steps=decay_steps,
        cooldown_shape=shapes,
        level=st.floats(0, 1),
        decay_steps=decay_steps,
    ),
    Rewarm: some(**falls, start=st.floats(0, 1)),
}


@st.composite
def schedules_of_twenty(draw):
    """A schedule, or None where the description refuses what was drawn."""
    kind = draw(st.sampled_from(list(FIELDS_OF)))
    fields = draw(FIELDS_OF[kind])
    try:
        return kind(warmup_steps=draw(st.integers(0, 12)), **fields)
    except DescriptionError:
        with collecting():
            assert problems(kind(**fields))
        return None


@st.composite
def runs(draw):
    model, optimizer = draw(models), draw(updates)
    parent = draw(optional(st.sampled_from(["a", "other/a"])))
    run = Run(
        draw(st.text()),
        model=model,
        data=draw(data[model.kind]),
        optimizer=optimizer,
        schedule=draw(st.just(Constant(warmup_steps=1)) | st.just(CyclicCosine(cycle_ends=(3, 20)))),
        lr=draw(st.floats(1e-9, 1e3) | counts),
        steps=20,
        seed=draw(st.integers(0, 2**64)),
        batch_size=draw(counts),
        keep_steps=draw(st.sampled_from([(), (1,), (3, 19)])),
        parent=parent,
        parent_step=draw(optional(counts)) if parent else None,
        reset=draw(st.sampled_from([(), ("data",), ("weights", "optimizer")])) if parent else (),
        probes=draw(st.sampled_from([(), (Norms(steps=(0, 20)),), (Norms(every=3),)])),
        sweep=draw(optional(st.just({"lr": (0.1, 1), "seed": (0, 1)}))),
        average=draw(optional(st.floats(0.1, 0.9))) if optimizer.kind != "schedule_free" else None,
        arm=draw(optional(st.text())),
    )
    return dataclasses.replace(run, **draw(other_data)) if run.data.interface()["kind"] == "digits" else run


TURNED = Digits(rotation=77)
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
    assert set(leaves(plain)) <= {dict, list, str, int, float, bool, type(None)}
    back = run_from_dict(json.loads(json.dumps(plain)))
    assert back == run
    assert repr(back) == repr(run)
    assert to_dict(back) == plain


@settings(max_examples=40, deadline=None)
@given(runs())
def test_a_run_survives_its_identity_but_for_its_name(run):
    decides = identity(run)
    assert set(leaves(decides)) <= {dict, list, str, int, float, bool}
    back = run_from_dict(json.loads(json.dumps(decides)))
    assert dataclasses.replace(back, name=run.name) == run
    assert identity(back) == decides


@pytest.mark.parametrize(("cls", "fields"), [(cls, fields) for cls, fields in ACCEPTED if cls is Run])
def test_accepted_runs_survive_their_plain_form(cls, fields):
    run = cls(**fields)
    assert run_from_dict(json.loads(json.dumps(to_dict(run)))) == run


def test_plain_form_of_an_unknown_field_is_refused():
    plain = to_dict(Run(**ON_DIGITS)) | {"colour": 1}
    with pytest.raises(DescriptionError, match="colour=1 is no field of Run"):
        run_from_dict(plain)


@pytest.mark.parametrize("kind", ["mpl", None, 3])
def test_plain_form_of_an_unknown_kind_is_refused(kind):
    plain = to_dict(Run(**ON_DIGITS))
    plain["model"]["kind"] = kind
    with pytest.raises(DescriptionError, match=rf"^Model: kind={kind!r} must be one of transformer, "):
        run_from_dict(plain)


@settings(max_examples=150, deadline=None)
@given(schedules_of_twenty())
def test_the_description_accepts_exactly_the_schedules_that_can_be_built(schedule):
    if schedule is None:
        return
    accepted = not list(schedule.fits(20))
    try:
        rates = schedules.rates(schedule, steps=20, lr=1.0)
    except ValueError:
        assert not accepted
    else:
        assert accepted
        assert len(rates) == 20
        assert all(0 <= rate <= 1 for rate in rates)


def test_members_of_a_sweep_in_order():
    run = Run(**ON_DIGITS, sweep={"lr": (0.3, 1), "seed": (5, 6, 7)}, arm="x")
    singles = members(run)
    assert [(single.lr, single.seed) for single in singles] == [(0.3, 5), (0.3, 6), (0.3, 7), (1, 5), (1, 6), (1, 7)]
    assert all(single.sweep is None and single.arm == "x" and not problems(single) for single in singles)
    assert members(singles[0]) == [singles[0]]
