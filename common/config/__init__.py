"""What a run is: descriptions with every default and every rule (layer 0, standard library only)."""

from common.config.continual import Continual
from common.config.data import CORPORA, EXCHANGEABLE, TEXT, Data
from common.config.model import Model
from common.config.optimizer import Optimizer
from common.config.plain import run_from_dict, to_dict
from common.config.probe import CURVATURE, PROBE_SET, Probe
from common.config.run import Run, continued, datasets_of, full_name, members, validation_sets
from common.config.schedule import DECAY_SHAPES, Schedule

__all__ = [
    "CORPORA",
    "CURVATURE",
    "DECAY_SHAPES",
    "EXCHANGEABLE",
    "PROBE_SET",
    "TEXT",
    "Continual",
    "Data",
    "Model",
    "Optimizer",
    "Probe",
    "Run",
    "Schedule",
    "continued",
    "datasets_of",
    "full_name",
    "members",
    "run_from_dict",
    "to_dict",
    "validation_sets",
]
