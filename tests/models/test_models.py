import pytest
import torch
from torch import nn

from common.config import MLP, Convnet, Model, Transformer, Work, implementation
from common.config.description import description
from common.config.parametrization import Role
from common.models import build
from common.models.roles import named_roles


@pytest.mark.parametrize(
    ("model", "shapes", "message"),
    [
        (MLP(), {"inputs": 4, "outputs": 2, "context": 8}, "reads vectors, but the data has context=8"),
        (Convnet(), {"inputs": 4, "outputs": 2, "context": 8}, "reads images, but the data has context=8"),
        (Transformer(heads=2), {"inputs": 4, "outputs": 4, "context": None}, "reads tokens, .* context=None"),
        (Transformer(heads=2), {"inputs": 4, "outputs": 3, "context": 8}, "inputs=4 must equal outputs=3"),
    ],
)
def test_a_model_that_does_not_fit_its_data_says_why(model, shapes, message):
    with pytest.raises(ValueError, match=message):
        build(model, **shapes, generator=torch.Generator())


def test_each_kind_is_carried_out_by_what_is_named_like_it():
    kinds = [kind for kind in Model.kinds().values() if kind.__module__ == Model.__module__]
    assert [implementation(kind).__name__ for kind in kinds] == [kind.kind for kind in kinds]


class Quadratic(nn.Module):
    """Outputs x.A.x for one matrix A of each output."""

    def __init__(self, *, inputs, outputs, initial):
        super().__init__()
        initial.parameter(self, "forms", Role.FINITE, outputs, inputs, inputs, fan_in=inputs**2)

    def forward(self, x):
        return torch.einsum("ni,oij,nj->no", x, self.forms, x)


def quadratic(model, *, inputs, outputs, context, initial):
    assert (model.width, context) == (5, None)
    return Quadratic(inputs=inputs, outputs=outputs, initial=initial)


@pytest.fixture
def forms():
    """A description of another network."""

    @description
    class Forms(Model):
        kind = "forms"
        code = "tests.models.test_models:quadratic"
        reads = "vectors"
        work = Work(0, 0, 0)

    yield Forms
    del Forms.kind  # leave the family


def test_a_network_of_ones_own_is_a_description_and_a_constructor(forms):
    network = build(forms(width=5), inputs=3, outputs=2, context=None, generator=torch.Generator())
    assert (type(network), named_roles(network)) == (Quadratic, {"forms": Role.FINITE})
    assert network(torch.ones(4, 3)).shape == (4, 2)
