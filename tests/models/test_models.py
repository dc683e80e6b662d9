import pytest
import torch

from common.config import Model
from common.models import build


@pytest.mark.parametrize(
    ("model", "shapes", "message"),
    [
        (Model(kind="mlp"), {"inputs": 4, "outputs": 2, "context": 8}, "context=8"),
        (Model(heads=2), {"inputs": 4, "outputs": 4, "context": None}, "context=None"),
        (Model(heads=2), {"inputs": 4, "outputs": 3, "context": 8}, "inputs=4 must equal outputs=3"),
    ],
)
def test_a_model_that_does_not_fit_its_data_says_why(model, shapes, message):
    with pytest.raises(ValueError, match=message):
        build(model, **shapes, generator=torch.Generator())
