"""Attention that the networks share: its definition, and its precision under autocast."""

import pytest
import torch
from torch.nn import functional

from common.models.layers import attention


def heads(*, length: int = 5, kind: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [part.to(kind) for part in torch.randn(3, 2, 3, length, 4, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("causal", [False, True])
def test_every_position_averages_the_values_that_it_sees(causal):
    q, k, v = heads()
    logits = 0.7 * q @ k.transpose(-1, -2)
    if causal:
        logits = logits.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(attention(q, k, v, scale=0.7, causal=causal), torch.softmax(logits, -1) @ v)


def test_under_autocast_it_is_computed_in_float32_and_comes_in_the_type_of_the_values(monkeypatch):
    asked = []
    fused = functional.scaled_dot_product_attention

    def noted(*parts, **options):
        asked.append((torch.is_autocast_enabled("cpu"), *(part.dtype for part in parts)))
        return fused(*parts, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", noted)
    (q, k), v = heads(kind=torch.float32)[:2], heads(kind=torch.bfloat16)[2]
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(q, k, v, scale=1.0, causal=True)
    assert asked == [(False, *[torch.float32] * 3)] and found.dtype == torch.bfloat16
    torch.testing.assert_close(found, fused(q, k, v.float(), scale=1.0, is_causal=True).bfloat16())
