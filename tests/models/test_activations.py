from typing import get_args, get_type_hints

import pytest
import torch

from common.config import MLP, Model
from common.models import activations
from common.models.activations import relu2
from common.models.layers import activation
from tests.models.test_transformer import ACTIVATIONS


def test_relu2_equals_its_definition_up_to_the_second_derivative():
    x = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    torch.testing.assert_close(relu2(x), x.clamp(min=0) ** 2, rtol=1e-14, atol=0)
    assert torch.autograd.gradcheck(relu2, x)
    assert torch.autograd.gradgradcheck(relu2, x)


@pytest.mark.parametrize("word", get_args(get_type_hints(Model)["activation"]))
def test_a_word_in_a_description_chooses_the_function_of_its_name(word):
    chosen = activation(MLP(activation=word))
    assert chosen is getattr(activations, word)
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    torch.testing.assert_close(chosen(x), ACTIVATIONS[word](x), rtol=1e-13, atol=1e-15)
