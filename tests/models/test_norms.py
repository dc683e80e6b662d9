from typing import get_args, get_type_hints

import pytest
import torch

from common.config import MLP, Model
from common.models import norms
from common.models.layers import norms as places
from tests.models.test_transformer import normalised


def normalised_over_the_batch(x):
    centred = x - x.mean(0)
    return centred / torch.sqrt((centred**2).mean(0) + norms.EPSILON)


@pytest.mark.parametrize("word", get_args(get_type_hints(Model)["norm"]))
def test_a_word_in_a_description_chooses_the_function_of_its_name_and_its_place(word):
    norm = getattr(norms, word)
    assert places(MLP(norm=word)) == (norm, norms.none)
    assert places(MLP(norm=word, norm_place="post")) == (norms.none, norm)
    x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = normalised_over_the_batch(x) if word == "batchnorm" else normalised(x, word)
    torch.testing.assert_close(norm(x), expected, rtol=1e-12, atol=1e-14)
