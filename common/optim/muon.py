"""Muon: orthogonalised momentum on the hidden matrices of a network, AdamW on all its other weights."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from common import config
from common.config.parametrization import Role
from common.optim.fused import lay_out_moments
from common.optim.optimizers import Weight, adamw, evaluated, groups


def muon(rule: config.Muon, weights: Sequence[Weight], *, lr: float) -> "Muon":
    """Muon (see `Muon`) on matrices of role hidden; AdamW on embeddings, readout, vectors and hidden filters.

    Raises: ValueError if the role of a weight is not known, or none is a hidden matrix.
    """
    if unknown := [weight.name for weight in weights if weight.role is None]:
        raise ValueError(
            f"kind='muon' acts on hidden matrices alone, but nothing says what {', '.join(unknown)} do; give roles, "
            "from named_roles or roles_by_growth of common.models.roles"
        )
    hidden = groups(rule, [weight for weight in weights if _is_hidden(weight)], keeps=("momentum_buffer",))
    if not hidden:
        raise ValueError(
            f"kind='muon' acts on hidden matrices, but none is among {', '.join(weight.name for weight in weights)}; "
            "use AdamW, or a network that has some"
        )
    parts: list[Optimizer] = [
        torch.optim.Muon(
            hidden,
            lr=lr,
            momentum=rule.momentum,
            nesterov=rule.nesterov,
            ns_steps=rule.ns_steps,
            adjust_lr_fn=rule.adjust,
        )
    ]
    if others := [weight for weight in weights if not _is_hidden(weight)]:
        parts.append(adamw(rule, others, lr=lr))
        for group in parts[-1].param_groups:
            group["lr_factor"] *= rule.adam_lr_factor
    return Muon(parts)


def _is_hidden(weight: Weight) -> bool:
    """Whether it is orthogonalised; torch's rule takes matrices only, no filters."""
    return weight.role is Role.HIDDEN and weight.tensor.ndim == 2


class Muon(Optimizer):
    """torch.optim.Muon and AdamW as one: the groups are those of both, the state is one, a step is one of each.

    A hidden matrix W of a rows and b columns, with gradient g, rate r and weight decay L, moves by
        m = momentum m + (1 - momentum) g,    m = 0 at first
        W = (1 - r L) W - r s O,    O = NS(momentum m + (1 - momentum) g), or NS(m) without Nesterov's form
    with s from `config.Muon.adjust`. NS divides a matrix by its Euclidean norm and then, in bfloat16 and `ns_steps`
    times, puts 3.4445 X - 4.775 (X X') X + 2.0315 (X X')**2 X in the place of X. From U S V' it comes near U V': five
    steps take singular values above 1/500 of the norm to about 0.7 to 1.2, and smaller ones stay behind. All other
    weights move as in `optimizers.adamw`, at the rate `adam_lr_factor` r.

    ASSUME: queries, keys and values, which are one matrix in our transformers, are orthogonalised as one; the authors
    found it better to take them apart.

    Args: parts: rules over different weights.
    Source: Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon); the weight decay and `match_rms_adamw` are
        those of Liu et al. 2025 (arXiv:2502.16982).
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        self._share()

    def _share(self) -> None:
        """Let the parts act on this rule's groups and state."""
        first = 0
        for part in self.parts:
            count = len(part.param_groups)
            part.state, part.param_groups = self.state, self.param_groups[first : first + count]
            first += count

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"parts": self.parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; see `fused`, whose rule is one of the parts."""
        super().load_state_dict(state_dict)
        lay_out_moments(self)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; what the closure returns, which is called first (see `torch.optim.Optimizer.step`)."""
        loss = evaluated(closure)
        for part in self.parts:
            part.step()
        return loss
