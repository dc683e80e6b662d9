"""Roles of a network's tensors: initial values drawn by role, and the factors of the parametrization.

The models of this repository draw every parameter through an `Initializer`, which notes its role. Any other module
takes part with `apply`, which needs the roles by name, or `roles_by_growth`, which finds them.
"""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils.parametrize import ParametrizationList

from common.config import Model
from common.config.parametrization import Factors, Role, Scaling


class Note(NamedTuple):
    """What is known of one parameter."""

    role: Role
    factors: Factors


def scaling_of(model: Model) -> Scaling:
    """How many times larger than its base a network is, by its description; 1 where no base is given."""
    width = model.width / (model.base_width or model.width)
    return Scaling(
        parametrization=model.parametrization,
        width=width,
        head=width * (model.base_heads or model.heads or 1) / (model.heads or 1),
        depth_rule=model.depth_rule,
        depth=model.depth / (model.base_depth or model.depth),
    )


class Initializer:
    """Draws the parameters of one model from one generator, in the order in which the model asks for them.

    Vectors and finite tensors start at 0, the others normally distributed with the standard deviation
    gain / sqrt(fan-in) times that of `Factors`.

    Args:
        generator: source of every initial value; equal generators give equal models.
        model: description, with its parametrization, its gains and its factors.
    """

    def __init__(self, generator: torch.Generator, model: Model) -> None:
        self._generator = generator
        self.scaling = scaling_of(model)
        self._gain = dict.fromkeys((Role.EMBEDDING, Role.TOKENS, Role.HIDDEN), model.init_gain)
        self._gain |= {Role.READOUT: model.init_gain * model.readout_gain, Role.VECTOR: 0.0, Role.FINITE: 0.0}
        embedding = model.embedding_factor
        self._tuned = {Role.EMBEDDING: embedding, Role.TOKENS: embedding, Role.READOUT: model.readout_factor}

    def parameter(
        self, module: nn.Module, name: str, role: Role, *shape: int, fan_in: int, inside: bool = False
    ) -> None:
        """Give `module` the parameter `name` and note its role.

        Args:
            module: owner of the parameter.
            name: attribute under which it is reached.
            role: decides the initial scale and the learning rate.
            shape: of the tensor.
            fan_in: number of terms that each of its outputs sums.
            inside: whether it lies in a residual branch.
        """
        factors = self.scaling.factors(role, inside=inside)
        std = self._gain[role] * float(fan_in) ** -0.5 * factors.std
        value = torch.empty(shape).normal_(generator=self._generator).mul_(std)
        module.register_parameter(name, nn.Parameter(value))
        module.__dict__.setdefault("notes", {})[name] = Note(role, factors)

    def forward_factor(self, role: Role) -> float:
        """Factor on the products of the tensors of a role, which the model applies."""
        return self.scaling.factors(role).forward * self._tuned.get(role, 1.0)


def named_roles(module: nn.Module) -> dict[str, Role]:
    """The role of every parameter, under its name and in the order of `module.named_parameters()`.

    Raises: LookupError if a parameter was not made by an `Initializer`.
    """
    return {name: note.role for name, note in _notes(module).items()}


def named_factors(module: nn.Module) -> dict[str, Factors]:
    """The factors of every parameter, under the names of `named_roles`, as `optimizers.build` takes them."""
    return {name: note.factors for name, note in _notes(module).items()}


def readout(module: nn.Module) -> nn.Module:
    """The layer within a module that holds the weight of role readout; what goes into it are the module's features.

    Raises: LookupError if no layer does, as where the module itself holds that weight, or several do.
    """
    places = [name.rpartition(".")[0] for name, note in _noted(module) if note.role is Role.READOUT]
    if len(layers := [place for place in places if place]) != 1:
        raise LookupError(f"{type(module).__name__} has {len(layers)} layers with a weight of role readout, not one")
    return module.get_submodule(layers[0])


def _notes(module: nn.Module) -> dict[str, Note]:
    noted = dict(_noted(module))
    names = [name for name, _ in module.named_parameters()]
    if unknown := [name for name in names if name not in noted]:
        raise LookupError(f"parameters without a role: {', '.join(unknown)}; make them with Initializer.parameter")
    return {name: noted[name] for name in names}


def _noted(module: nn.Module) -> Iterator[tuple[str, Note]]:
    for place, inner in module.named_modules():
        notes: dict[str, Note] = inner.__dict__.get("notes", {})
        yield from ((f"{place}.{name}" if place else name, note) for name, note in notes.items())


@torch.no_grad()
def apply(
    module: nn.Module,
    roles: Mapping[str, str],
    scaling: Scaling,
    *,
    inside: Iterable[str] = (),
    rescale: bool = True,
) -> dict[str, Factors]:
    """Give any module a parametrization: its initial values are rescaled in place, its learning rates are returned.

    The module's forward pass needs no change for the width: a factor on a product is put into the weights
    (`Factors.absorbed`). What a module has to do itself is to multiply what each residual branch adds with
    `scaling.branch`, and attention logits with `scaling.attention`.

    Args:
        module: just initialised, weights with standard deviations like 1 / sqrt(fan-in), as torch's layers have them
            (biases best at 0, which torch's do not).
        roles: from names of parameters to their roles (see `Role`); names may be patterns such as "*.bias", of which
            the first that fits counts.
        scaling: parametrization and size.
        inside: names, or patterns, of the parameters inside residual branches.
        rescale: whether to rescale; False for weights that are rescaled already, such as those of a checkpoint of the
            same module.
    Returns: factors by name, for `optimizers.build`.
    Raises: LookupError if a parameter has no role, or a pattern fits none; ValueError if a shared tensor would get two
        treatments, or of a rescaling if a part of the module has been rescaled before, or a tensor lies beneath a
        parametrization, such as `weight_norm`, and is no more the weight itself.

    >>> from common import config
    >>> from common.optim import optimizers
    >>> model = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 3))
    >>> roles = {"0.weight": "embedding", "2.weight": "readout", "2.bias": "finite", "*": "vector"}
    >>> factors = apply(model, roles, Scaling(parametrization="mup", width=256 / 64))
    >>> adam = config.Adam()
    >>> optimizer = optimizers.build(adam, model.named_parameters(), lr=0.01, factors=factors)
    >>> {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    {'0.weight': 0.01, '2.weight': 0.0025, '0.bias': 0.01, '2.bias': 0.01}
    """
    named = dict(module.named_parameters(remove_duplicate=False))
    patterns = list(inside)
    branches = {name for name in named if any(fnmatchcase(name, pattern) for pattern in patterns)}
    chosen = {name: next((p for p in roles if fnmatchcase(name, p)), None) for name in named}
    if unknown := [name for name, pattern in chosen.items() if pattern is None]:
        raise LookupError(f"parameters without a role: {', '.join(unknown)}; name them in roles")
    _check_patterns("roles", roles, named)
    _check_patterns("inside", patterns, named)
    factors = {
        name: scaling.factors(Role(roles[pattern]), inside=name in branches).absorbed()
        for name, pattern in chosen.items()
        if pattern is not None
    }
    _check_shared(named, factors)
    own = {name: factors[name] for name, _ in module.named_parameters()}
    if rescale:
        _check_rescaling(module, own)
        for name, factor in own.items():
            named[name].mul_(factor.std)
    return own


def _check_rescaling(module: nn.Module, factors: Mapping[str, Factors]) -> None:
    """Refuse what a rescaling would scale twice, or not at all; mark the modules that hold parameters as rescaled."""
    holders = {place: inner for place, inner in module.named_modules() if [*inner.parameters(recurse=False)]}
    if before := [place for place, inner in holders.items() if inner.__dict__.get("rescaled")]:
        if len(before) == len(holders):
            raise ValueError(
                f"{type(module).__name__} has been rescaled before; for its factors alone say rescale=False"
            )
        raise ValueError(
            f"{before[0]!r} in {type(module).__name__} has been rescaled before, which other parts have not; "
            "build the module anew and apply the parametrization to the whole"
        )
    for name, factor in factors.items():
        if factor.std != 1 and _owner(module, name)[0] is not module.get_submodule(name.rpartition(".")[0]):
            raise ValueError(
                f"{name!r} is made into a weight by a parametrization, which may undo the factor {factor.std:.3g}; "
                "apply to the module before it is parametrized, then again with rescale=False"
            )
    for inner in holders.values():
        inner.__dict__["rescaled"] = True


def _check_shared(named: Mapping[str, nn.Parameter], factors: Mapping[str, Factors]) -> None:
    first: dict[int, str] = {}
    for name, parameter in named.items():
        other = first.setdefault(id(parameter), name)
        if factors[other] != factors[name]:
            raise ValueError(
                f"{other!r} and {name!r} are one tensor, but their roles treat it differently; untie them, or give "
                "both the role of the first use and multiply the second product with Factors.forward yourself"
            )


def roles_by_growth(module: nn.Module, base: nn.Module, *, known: Mapping[str, str] | None = None) -> dict[str, Role]:
    """The roles of a module's parameters, told by the sides that differ from those of the same module at base width.

    The weights of torch's layers are known, also beneath `torch.nn.utils.parametrizations`; a parameter of another
    module that is named `weight` is taken to have its outputs before its inputs. Of any other tensor the shape tells
    the role if it has one side; if its first two sides grow (hidden); if it has three or more sides, all of length 1
    but the one that grows (vector), or the first of length 1 and the last growing, such as positions (1, n, width) that
    are added to every example (embedding).

    Args:
        module: the network at its width.
        base: the same module at another width.
        known: roles by name, or by patterns such as "*.gate", of parameters whose shapes do not tell.
    Returns: roles by name, for `apply`.
    Raises: LookupError if a pattern of `known` fits no parameter; ValueError if the modules do not have the same
        parameters, none of them grows, or the shape of one does not tell its role.
    """
    named, small = (dict(one.named_parameters(remove_duplicate=False)) for one in (module, base))
    if small.keys() != named.keys():
        raise ValueError(f"module and base differ in {min(small.keys() ^ named.keys())!r}; build both by one function")
    if all(named[name].shape == parameter.shape for name, parameter in small.items()):
        raise ValueError("no parameter of module is larger than that of base: build base at another width")
    _check_patterns("known", known or {}, named)
    given = {name: _known(name, known or {}) for name in named}
    return {name: given[name] or _grown(name, module, base) for name in named}


def _known(name: str, known: Mapping[str, str]) -> Role | None:
    return next((Role(role) for pattern, role in known.items() if fnmatchcase(name, pattern)), None)


def _check_patterns(field: str, patterns: Iterable[str], names: Iterable[str]) -> None:
    if unused := [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]:
        raise LookupError(f"{field} has {unused[0]!r}, which fits no parameter; the module has {', '.join(names)}")


GROWTH = {
    (False, False): Role.FINITE,
    (True, False): Role.EMBEDDING,
    (True, True): Role.HIDDEN,
    (False, True): Role.READOUT,
}
"""Role of a weight by which of its two sides, outputs and inputs, grow."""

GAINS = ("weight_g", "original0")
"""Names of the lengths that `weight_norm` takes out of a weight."""


def _grown(name: str, module: nn.Module, base: nn.Module) -> Role:
    shape, small = module.get_parameter(name).shape, base.get_parameter(name).shape
    grows = tuple(a != b for a, b in zip(shape, small, strict=False))
    layer, key = _owner(module, name)
    one_side = sum(grows) == 1 and all(grown or side == 1 for grown, side in zip(grows, shape, strict=False))
    is_weight = key == "weight" or ("weight" in key and _of_torch(layer))
    if len(shape) == len(small):
        if not any(grows):
            return Role.FINITE
        if len(shape) == 1 or isinstance(layer, nn.LayerNorm | nn.RMSNorm) or (one_side and name.endswith(GAINS)):
            return Role.VECTOR
        if not any(grows[2:]) and (is_weight or all(grows[:2])):
            return GROWTH[_sides(layer, _owner(base, name)[0], grows)]
        if len(shape) > 2 and one_side:
            return Role.VECTOR
        if len(shape) > 2 and shape[0] == 1 and grows.index(True) == len(shape) - 1:
            return Role.EMBEDDING
    rule = "only its first two sides may" if is_weight else "no layer of torch says which sides are its outputs"
    raise ValueError(f"{name!r} grows from {tuple(small)} to {tuple(shape)}; {rule}: name its role in known")


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The layer that works with a parameter, and the attribute under which it does, past any parametrization."""
    place, _, key = name.rpartition(".")
    owner = module.get_submodule(place)
    if not isinstance(owner, ParametrizationList):
        return owner, key
    *outer, _, key = place.split(".")
    return module.get_submodule(".".join(outer)), key


def _of_torch(layer: nn.Module) -> bool:
    homes = {kind.__module__ for kind in type(layer).__mro__ if kind.__module__.startswith("torch.nn.modules.")}
    return bool(homes - {"torch.nn.modules.module", "torch.nn.modules.container"})


def _sides(layer: nn.Module, base: nn.Module, grows: tuple[bool, ...]) -> tuple[bool, bool]:
    """Whether the outputs of a weight grow, and the inputs that each of them sums."""
    if isinstance(layer, _ConvTransposeNd) and isinstance(base, _ConvTransposeNd):
        summed = layer.in_channels // layer.groups, base.in_channels // base.groups
        return layer.out_channels != base.out_channels, summed[0] != summed[1]
    outputs, inputs = grows[1::-1] if isinstance(layer, nn.Embedding | nn.EmbeddingBag) else grows[:2]
    return outputs, inputs
