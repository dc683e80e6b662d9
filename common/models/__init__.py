"""Networks, built from their description and a generator."""

import torch
from torch import nn

from common.config import Model
from common.models.convnet import ConvNet
from common.models.mlp import MLP, ResidualMLP
from common.models.transformer import Transformer
from common.roles import Initializer


def build(model: Model, *, inputs: int, outputs: int, context: int | None, generator: torch.Generator) -> nn.Module:
    """The network of a description, with its initial values; equal generators give equal values.

    Args:
        model: description.
        inputs: vocabulary size for tokens, dimension of the features otherwise.
        outputs: number of classes, vocabulary size, or dimension of the targets.
        context: longest window of tokens; None for features.
        generator: draws every initial value.
    Returns: a module that maps int64 tokens (count, context) to float32 logits (count, context, outputs), or float32
        features (count, inputs) to float32 (count, outputs).
    Raises: ValueError if the description and the data do not fit together.
    """
    initial = Initializer(generator, model)
    if model.kind != "transformer":
        if context is not None:
            raise ValueError(
                f"model.kind={model.kind!r} reads features, but the data has context={context}; use 'transformer'"
            )
        network = {"mlp": ResidualMLP if model.block_layers else MLP, "convnet": ConvNet}[model.kind]
        return network(model, inputs=inputs, outputs=outputs, initial=initial)
    if context is None:
        raise ValueError("model.kind='transformer' reads tokens, but the data has context=None; use 'mlp'")
    if model.tied is not False and inputs != outputs:
        raise ValueError(f"tied=True shares one matrix: inputs={inputs} must equal outputs={outputs}; set tied=False")
    if model.heads is None:
        raise ValueError("model.heads=None: a transformer needs heads that divide its width; set heads=1 or more")
    return Transformer(model, heads=model.heads, inputs=inputs, outputs=outputs, context=context, initial=initial)
