"""Parametrizations: how initial scales, forward factors and learning rates follow a network's size.

Sizes are relative to a base: m = width / base width and r = depth / base depth. A rule holds exponents of m or r, so at
the base every factor is exactly 1, and all parametrizations are one and the same network. Another parametrization is
another entry of `TABLE`, another treatment of depth one of `DEPTH`; nothing else has to change.

`python -m common.config.parametrization` prints both tables; docs/parametrization.md shows them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar


class Role(StrEnum):
    """What a tensor does, told by which of its sides grow with the width."""

    EMBEDDING = "embedding"
    """Maps features to the width. The initial scale is relative to 1 / sqrt(number of features)."""
    TOKENS = "tokens"
    """One vector of the width for each token. Relative to 1 / sqrt(width), as a tied readout needs it."""
    HIDDEN = "hidden"
    """Maps a multiple of the width to a multiple of the width. Relative to 1 / sqrt(fan-in), as the readout's."""
    READOUT = "readout"
    """Maps the width to the outputs."""
    VECTOR = "vector"
    """One number for each feature of the width, equal for all at first: a bias, the gain of a norm."""
    FINITE = "finite"
    """Nothing of it grows: the bias of the readout, the gate of a branch."""


class Rule(NamedTuple):
    """Exponents of the width multiplier m for one role."""

    std: float
    """Initial standard deviation, relative to gain / sqrt(fan-in)."""
    forward: float
    """Factor on the tensor's product."""
    sgd: float
    """Learning rate of plain and momentum descent; not a number where the parametrization is not defined for it."""
    adam: float
    """Learning rate of the rules that divide by the root of a second moment."""
    epsilon: float
    """What the latter add to the root of the second moment; where it follows the gradient's size, it stays small."""


@dataclass(frozen=True, kw_only=True)
class Parametrization:
    """The rules of all roles."""

    rules: Mapping[Role, Rule]
    attention: float
    """Exponent of the multiplier of the head size in the attention logits, relative to q.k / sqrt(head size)."""
    source: str


sp = Parametrization(
    rules={role: Rule(std=0, forward=0, sgd=0, adam=0, epsilon=0) for role in Role},
    attention=0,
    source="standard: variance 1 / fan-in (LeCun et al. 1998, Efficient BackProp, eq. 16), one rate for all tensors",
)
ntp = Parametrization(
    rules={
        Role.EMBEDDING: Rule(std=0, forward=0, sgd=0, adam=0, epsilon=0),
        Role.TOKENS: Rule(std=1 / 2, forward=0, sgd=0, adam=0, epsilon=0),
        Role.HIDDEN: Rule(std=0, forward=0, sgd=-1, adam=-1 / 2, epsilon=1 / 2),
        Role.READOUT: Rule(std=0, forward=0, sgd=-1, adam=-1 / 2, epsilon=1 / 2),
        Role.VECTOR: Rule(std=0, forward=0, sgd=0, adam=0, epsilon=0),
        Role.FINITE: Rule(std=0, forward=0, sgd=0, adam=0, epsilon=0),
    },
    attention=0,
    source="neural tangent: weights N(0, 1) with products / sqrt(fan-in) and one rate (Jacot et al. 2018, "
    "arXiv:1806.07572), moved into the scale of the weights by the switching rule; literal for Adam, which it is not "
    "stable with",
)
mup = Parametrization(
    rules={
        Role.EMBEDDING: Rule(std=0, forward=0, sgd=1, adam=0, epsilon=-1),
        Role.TOKENS: Rule(std=1 / 2, forward=0, sgd=1, adam=0, epsilon=-1),
        Role.HIDDEN: Rule(std=0, forward=0, sgd=0, adam=-1, epsilon=-1),
        Role.READOUT: Rule(std=1 / 2, forward=-1, sgd=1, adam=0, epsilon=-1),
        Role.VECTOR: Rule(std=0, forward=0, sgd=1, adam=0, epsilon=-1),
        Role.FINITE: Rule(std=0, forward=0, sgd=0, adam=0, epsilon=0),
    },
    attention=-1 / 2,
    source="maximal update (Yang et al. 2022, arXiv:2203.03466), in the form of their library mup 1.0.0 (optim.py, "
    "layer.py, init.py), where the readout's initial scale is constant and its product is divided by m; epsilon as in "
    "CompleteP (Dey et al. 2025, arXiv:2505.01618), the library leaves it constant",
)
sp_layerwise = Parametrization(
    rules={
        Role.EMBEDDING: Rule(std=0, forward=0, sgd=math.nan, adam=0, epsilon=-1 / 2),
        Role.TOKENS: Rule(std=1 / 2, forward=0, sgd=math.nan, adam=0, epsilon=-1 / 2),
        Role.HIDDEN: Rule(std=0, forward=0, sgd=math.nan, adam=-1, epsilon=-1 / 2),
        Role.READOUT: Rule(std=0, forward=0, sgd=math.nan, adam=-1, epsilon=0),
        Role.VECTOR: Rule(std=0, forward=0, sgd=math.nan, adam=0, epsilon=-1 / 2),
        Role.FINITE: Rule(std=0, forward=0, sgd=math.nan, adam=0, epsilon=0),
    },
    attention=0,
    source="standard scales with a rate for each layer, Adam only (Everett et al. 2024, arXiv:2407.05872); epsilon "
    "follows the size of the gradients at first (derived: 1 / sqrt(m) below the readout)",
)


@dataclass(frozen=True, kw_only=True)
class DepthRule:
    """Exponents of the depth multiplier r: one for the residual branches, the others for the tensors inside them."""

    branch: float
    """Factor on what a branch adds to the stream: minus alpha."""
    sgd: float
    adam: float
    epsilon: float
    source: str


none = DepthRule(branch=0, sgd=0, adam=0, epsilon=0, source="every branch counts in full, alpha = 0")
depth_mup = DepthRule(
    branch=-1 / 2,
    sgd=0,
    adam=-1 / 2,
    epsilon=-1 / 2,
    source="alpha = 1/2 (Yang et al. 2023, arXiv:2310.02244; Bordelon et al. 2023, arXiv:2309.16620); the gradient "
    "carries the branch's factor, which sgd's rate and epsilon follow (derived)",
)
completep = DepthRule(
    branch=-1,
    sgd=1,
    adam=0,
    epsilon=-1,
    source="alpha = 1 (Dey et al. 2025, arXiv:2505.01618), made for Adam; sgd's rate follows from the gradient "
    "(derived)",
)


T = TypeVar("T")


def rows(kind: type[T]) -> dict[str, T]:
    """The rows of this module by their names: of the widths (`Parametrization`), or of the depths (`DepthRule`)."""
    return {name: row for name, row in globals().items() if isinstance(row, kind)}


class Factors(NamedTuple):
    """What one tensor's initial standard deviation, product, learning rates and epsilon are multiplied with, and the
    weight decay that Adam adds to the gradient.
    """

    std: float = 1.0
    forward: float = 1.0
    sgd: float = 1.0
    adam: float = 1.0
    epsilon: float = 1.0
    coupled_decay: float = 1.0

    def rate(self, sizes: str | None) -> float:
        """Factor on the learning rate of an update rule, from the column of the tables that its sizes follow.

        Args:
            sizes: "sgd", "adam", or None for a rule that no table knows (see `config.Optimizer.sizes`).
        Raises: ValueError if the parametrization is not defined for the rule.
        """
        if sizes is None and (self.sgd, self.adam) != (1, 1):
            raise ValueError("the parametrization has no rate for this update rule, which its table does not know")
        factor: float = 1.0 if sizes is None else getattr(self, sizes)
        if math.isnan(factor):
            raise ValueError(f"the parametrization has no rate for {sizes}; choose Adam, AdamW or ScheduleFree")
        return factor

    def weight_decay(self, sizes: str | None, *, couples: bool = False) -> float:
        """Factor on the weight decay: the inverse of the rate's, so that their product does not depend on the size.

        Of Adam with its decay in the gradient that holds in the form of the tables; in another the decay follows the
        size of the gradient, so that the training stays the same (`switched`).

        Args:
            sizes: as in `rate`.
            couples: whether the decay is added to the gradient.
        Source: mup 1.0.0 (optim.py), for sgd, adam and adamw alike. ASSUME: for adam, which adds the decay to the
        gradient before it is normalised, the sizes then agree only roughly.
        """
        return self.coupled_decay if couples and sizes == "adam" else 1 / self.rate(sizes)

    def switched(self, theta: float) -> "Factors":
        """The same training in another form: the product multiplied by `theta`, the weights divided by it.

        Gradients are then `theta` times as large, so sgd's rate is divided by theta**2, Adam's by theta, and epsilon
        grows with the gradient, as does what the decay adds to it. Source: Yang and Hu 2021 (arXiv:2011.14522, the
        symmetry of abc-parametrizations).
        """
        return Factors(
            std=self.std / theta,
            forward=self.forward * theta,
            sgd=self.sgd / theta**2,
            adam=self.adam / theta,
            epsilon=self.epsilon * theta,
            coupled_decay=self.coupled_decay * theta**2,
        )

    def absorbed(self) -> "Factors":
        """The form without a factor on the product, for modules that have none."""
        return self.switched(1 / self.forward)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How much larger than its base a network is, and the parametrization that makes up for it.

    >>> Scaling(parametrization="mup", width=4).factors(Role.HIDDEN)
    Factors(std=1.0, forward=1.0, sgd=1.0, adam=0.25, epsilon=0.25, coupled_decay=4.0)
    >>> Scaling(parametrization="mup", width=4).factors(Role.READOUT).absorbed()  # initial variance 1 / fan-in**2
    Factors(std=0.5, forward=1.0, sgd=0.25, adam=0.25, epsilon=1.0, coupled_decay=16.0)
    >>> deep = Scaling(depth_rule="depth_mup", depth=4)
    >>> deep.branch, deep.factors(Role.HIDDEN, inside=True).adam, deep.factors(Role.READOUT).adam
    (0.5, 0.5, 1.0)
    """

    parametrization: str = "sp"
    """The name of a `Parametrization` of this module."""
    width: float = 1.0
    """Width over base width: m."""
    head: float = 1.0
    """Size of an attention head over that at the base."""
    depth_rule: str = "none"
    """The name of a `DepthRule`."""
    depth: float = 1.0
    """Residual blocks over those of the base: r."""

    def __post_init__(self) -> None:
        for field, kind in (("parametrization", Parametrization), ("depth_rule", DepthRule)):
            if getattr(self, field) not in rows(kind):
                raise ValueError(f"{field}={getattr(self, field)!r} must be one of {', '.join(rows(kind))}")
        for field in ("width", "head", "depth"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}={getattr(self, field)} must be above 0: it is a size over that of the base")

    def factors(self, role: Role, *, inside: bool = False) -> Factors:
        """The factors of a tensor with this role; `inside` says whether it lies in a residual branch."""
        rule = rows(Parametrization)[self.parametrization].rules[role]
        deep = rows(DepthRule)[self.depth_rule]
        m, r = float(self.width), float(self.depth) if inside else 1.0
        return Factors(
            std=m**rule.std,
            forward=m**rule.forward,
            sgd=m**rule.sgd * r**deep.sgd,
            adam=m**rule.adam * r**deep.adam,
            epsilon=m**rule.epsilon * r**deep.epsilon,
            coupled_decay=1 / (m**rule.adam * r**deep.adam),
        )

    @property
    def branch(self) -> float:
        """Factor on what each residual branch adds."""
        factor: float = float(self.depth) ** rows(DepthRule)[self.depth_rule].branch
        return factor

    @property
    def attention(self) -> float:
        """Factor on the attention logits q.k / sqrt(head size)."""
        factor: float = float(self.head) ** rows(Parametrization)[self.parametrization].attention
        return factor


def can_tie(row: Parametrization) -> bool:
    """Whether one tensor can be the table of tokens and the readout: scale and rates of both roles are the same.

    The readout's factor on the product then acts where the tensor reads out, and only there.

    >>> [name for name, row in rows(Parametrization).items() if can_tie(row)]
    ['sp', 'mup']
    """
    tokens = row.rules[Role.TOKENS]
    return tokens == row.rules[Role.READOUT]._replace(forward=tokens.forward)


def defined_for(row: Parametrization | DepthRule, sizes: str | None) -> bool:
    """Whether a row has learning rates for an update rule (see `Factors.rate`)."""
    rules = row.rules.values() if isinstance(row, Parametrization) else [row]
    if sizes is None:
        return all(rule.sgd == rule.adam == 0 for rule in rules)
    return not any(math.isnan(getattr(rule, sizes)) for rule in rules)
