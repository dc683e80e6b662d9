import torch

from common.models.layers import relu2


def test_relu2_equals_its_definition_up_to_the_second_derivative():
    x = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    torch.testing.assert_close(relu2(x), x.clamp(min=0) ** 2, rtol=1e-14, atol=0)
    assert torch.autograd.gradcheck(relu2, x)
    assert torch.autograd.gradgradcheck(relu2, x)
