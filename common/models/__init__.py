"""Networks, built from their description and a generator."""

import torch
from torch import nn

from common.config import Model, implementation
from common.models.roles import Initializer


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
    if (model.reads == "tokens") != (context is not None):
        raise ValueError(
            f"model.kind={model.kind!r} reads {model.reads}, but the data has context={context}; choose a network that "
            f"reads {'features' if context is None else 'tokens'}"
        )
    network: nn.Module = implementation(model)(
        model, inputs=inputs, outputs=outputs, context=context, initial=Initializer(generator, model)
    )
    return network
