"""Trained models, read back from their results for measurements after the training."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from common import config, data, models
from common.config import Run
from common.data import Dataset
from common.runs import checkpoint, damage, records
from common.runs.place import Place
from common.training import process
from common.training.loop import State


@dataclass(frozen=True)
class Trained:
    """One state of one run, with what is needed to use it."""

    study: str
    name: str
    """Name of the run in its study."""
    run: Run
    """Its description; of a sweep, the member's."""
    state: State
    dataset: Dataset

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by name, on the CPU."""
        return {
            name.removeprefix("model."): tensor
            for name, tensor in self.state.tensors.items()
            if name.startswith("model.")
        }

    @cached_property
    def model(self) -> nn.Module:
        """A network with these weights, on the device of the run."""
        network = models.build(
            self.run.model,
            inputs=self.dataset.inputs,
            outputs=self.dataset.outputs,
            context=self.dataset.context,
            generator=torch.Generator(),
        )
        network.load_state_dict(self.weights)
        return network.to(self.run.device)


def read(path: Path, label: str = "final", *, dataset: Dataset | None = None) -> Trained:
    """A state of a run in a results folder; sets torch's threads to those of the run, as its training did.

    Args:
        path: state.safetensors of the run; run.json lies beside it, and the corpora in results/data.
        label: "final", or an update of the run at which it kept its state, such as "1080"; of a sweep with the member's
            number before it, "3/final".
        dataset: the run's data if it is loaded already.
    Raises: LookupError if there is no such state; DamagedState, DataError or CorpusError as their readers do.
    """
    record = records.read_record(path)
    member = int(label.partition("/")[0]) if "/" in label else 0
    run = config.members(config.run_from_dict(record["description"]))[member]
    process.prepare(threads=run.threads)
    with damage.set_aside(Place.of(path)):
        state = checkpoint.load(path, label)
    return Trained(
        study=record["study"],
        name=record["name"],
        run=run,
        state=state,
        dataset=dataset or data.load(run.data, corpora=Place.of(path).corpora),
    )
