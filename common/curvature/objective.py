"""What is measured: the mean loss of a network over a fixed probe set, with its derivatives.

Products with second derivatives are exact (Pearlmutter 1994, by differentiating the gradient) up to the rounding of the
network's own precision; sums over chunks of data are float64.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import Node
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from common.data import Dataset
from common.data.losses import LOSSES, Loss, count_targets

Vector = NDArray[np.float64]
"""Float64 (size,): one number for each weight."""
Block = NDArray[np.float64]
"""Float64 (size, k): vectors side by side, as columns."""
Mode = Literal["train", "eval", "mixed"]


class Objective:
    """Mean loss over a probe set as a function of the weights, which are all parameters that require gradients.

    Weights are flattened and joined in the order of `model.parameters()`. Batches may differ in size: each counts with
    its share of the targets, so the mean is that of all targets. The model is used in the mode that it is in, and
    `mode` says which: with batch normalisation in train mode every batch normalises itself (so chunks of the probe set
    are ghost batches, and another chunking is another loss), in eval mode the running statistics are part of the
    network. Buffers, gradients and the mode of the model are left as they were.

    Attention runs in torch's plain form, because the fused one has no second derivative, and modules and losses that
    are compiled (`torch.compile`) run as they were written. It does not matter whether the caller has switched
    gradients off (`torch.no_grad`, `torch.inference_mode`).

    ASSUME: the backward pass of a custom `torch.autograd.Function` is differentiable where it says so. One that
    detaches what it has saved gives wrong curvature, which nothing here can notice. Of `spectral_norm` the singular
    vectors are constants to torch, and so they are here.

    Args:
        model: the network, called with the inputs of one batch; of a compiled one the network within.
        loss: from outputs and targets to the mean loss of the batch.
        batches: the probe set, as pairs of inputs (tensors, also in dictionaries, lists or tuples) and targets; they
            are moved to the model's device when used.
        count: number of targets that `loss` averages over; give it if `count_targets` is wrong, for example where the
            loss ignores others than -100. A batch with none is left out.
    Raises: ValueError if no parameter requires gradients, one is complex or was made in inference mode, or the probe
        set is empty; later, where a derivative is asked for, if the loss of a batch depends on no weight, because
        something detached it, or a custom function is marked `once_differentiable`.

    >>> from torch import nn
    >>> from common.data.losses import half_squared_error
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> model = nn.Linear(2, 1, bias=False)
    >>> objective = Objective(model, half_squared_error, [(x, torch.zeros(2, 1))])
    >>> objective.hessian_products(np.eye(2)).tolist()  # X'X / 2
    [[0.5, 0.0], [0.0, 2.0]]
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        batches: Iterable[tuple[Any, Tensor]],
        *,
        count: Callable[[Tensor], int] = count_targets,
    ) -> None:
        self.model: nn.Module = getattr(model, "_orig_mod", model)
        self.named = {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        """The weights by name, in their order in a vector."""
        if not self.named:
            raise ValueError("model has no parameter with requires_grad=True; there is nothing to differentiate")
        if wrong := [name for name, parameter in self.named.items() if parameter.is_complex()]:
            raise ValueError(
                f"weight {wrong[0]!r} is complex; curvature is that of real weights: keep real and imaginary parts as "
                "two real tensors (torch.view_as_real)"
            )
        if made := [name for name, parameter in self.model.named_parameters() if parameter.is_inference()]:
            raise ValueError(
                f"weight {made[0]!r} was made in torch.inference_mode, of which torch takes no derivatives; "
                "build the model outside of it, or copy it there (copy.deepcopy)"
            )
        self.parameters = list(self.named.values())
        self.size = sum(parameter.numel() for parameter in self.parameters)
        """Number of weights."""
        given = list(batches)
        counted = [(batch, number) for batch in given if (number := count(batch[1]))]
        self.targets = sum(number for _, number in counted)
        """Number of targets in the probe set."""
        if not self.targets:
            raise ValueError(f"batches hold {self.targets} targets in {len(given)} batches; give at least one example")
        self.forwards = 0
        """Forward passes so far, one for each batch each time."""
        compiled = any(_is_compiled(part) for part in (*self.model.modules(), loss))
        self._call: Callable[..., Any] = _eager(functional_call) if compiled else functional_call
        self._loss: Loss = _eager(loss) if compiled else loss
        self._count = count
        self._exact: AbstractContextManager[Any] = (
            _Plainly() if any(name.endswith(NORMED) for name in self.named) else nullcontext()
        )
        self._batches = [batch for batch, _ in counted]
        self._shares = [number / self.targets for _, number in counted]
        self._held: dict[int, _Graph] = {}
        self._hold = 0

    @classmethod
    def of_dataset(
        cls,
        model: nn.Module,
        dataset: Dataset,
        *,
        examples: int | None = None,
        part: Literal["train", "validation"] = "train",
        seed: int = 0,
        chunk: int | None = None,
    ) -> "Objective":
        """The loss of one of the repository's data sets: cross-entropy per target, or half the squared error.

        Args:
            model: the network.
            dataset: where the examples come from.
            examples: size of the probe set; all if left out, which for "train" needs data with an end.
            part: the first examples of the training order of `seed`, or of the validation set.
            seed: order of the training examples; one seed for all runs gives them the same probe set.
            chunk: examples per forward pass; all at once if left out.
        Raises: ValueError if there are fewer examples than asked for.
        """
        limit = dataset.size if part == "train" else None
        if examples is not None and (examples < 1 or (limit is not None and examples > limit)):
            raise ValueError(f"examples={examples} must be between 1 and {limit}, the size of data {dataset.name!r}")
        if part == "train":
            whole = dataset.batch(seed=seed, position=0, count=examples)
        else:
            whole = next(dataset.validation(chunk=examples or 2**31))
            if examples is not None and len(whole.inputs) < examples:
                raise ValueError(f"examples={examples}: the validation set has {len(whole.inputs)}; ask for fewer")
        pieces = zip(*(torch.split(tensor, chunk or len(whole.inputs)) for tensor in whole), strict=True)
        return cls(model, LOSSES[dataset.loss], list(pieces))

    def part(self, divisor: int) -> "Objective":
        """The loss of the first examples, one in `divisor` and at least one: its curvature resembles the whole one's.

        A search for the top eigenvector of the whole that starts from the part's saves more products than the part's
        own search costs: `extremes(Hessian(objective.part(16)), tolerance=0.01).start`.

        Raises: ValueError for a divisor below 1; TypeError if the inputs of a batch are not one tensor.
        """
        if divisor < 1:
            raise ValueError(f"divisor={divisor} must be at least 1: the part holds one example in so many")
        left = max(sum(len(targets) for _, targets in self._batches) // divisor, 1)
        pieces: list[tuple[Any, Tensor]] = []
        for inputs, targets in self._batches:
            if not isinstance(inputs, Tensor):
                raise TypeError(f"the inputs of a batch are {type(inputs).__name__}, of which no part can be taken")
            if left > 0:
                pieces.append((inputs[:left], targets[:left]))
                left -= len(targets)
        return Objective(self.model, self._loss, pieces, count=self._count)

    @property
    def mode(self) -> Mode:
        """Mode of the model's parts; it decides what batch normalisation means."""
        modes = {module.training for module in self.model.modules()}
        return "mixed" if len(modes) == 2 else "train" if modes.pop() else "eval"

    @property
    @torch.inference_mode(False)
    def precision(self) -> float:
        """Relative rounding of one number in a product: the machine epsilon of the coarsest weights or of what the
        first batch's loss is computed from them in, as under autocast; free while `cached_graphs` keeps the graphs.
        """
        _, graph = next(self._graphs())
        return max(torch.finfo(dtype).eps for dtype in graph.types)

    @torch.no_grad()
    def weights(self) -> Vector:
        """The present weights, float64 (size,)."""
        return _flat(self.parameters)

    def loss(self, weights: Vector | None = None) -> float:
        """Mean loss at `weights`, float64 (size,), or at the present ones; the model keeps its own."""
        named = {} if weights is None else dict(zip(self.named, self._split(weights), strict=True))
        with torch.no_grad():
            losses = [float(self._loss(self._outputs(inputs, named), targets)) for inputs, targets in self._on_device()]
        return float(np.dot(self._shares, losses))

    @torch.inference_mode(False)
    def gradient(self) -> Vector:
        """Gradient of the mean loss, float64 (size,); free while `cached_graphs` keeps the graphs."""
        total = np.zeros(self.size)
        for share, graph in self._graphs():
            total += share * _flat(graph.gradient)
        return total

    def hessian_products(self, block: Block) -> Block:
        """Hessian of the mean loss times each column of `block`: float64 (size, k) to the same."""
        return self._products(block, lambda graph, vectors: graph.hessian(vectors))

    def gauss_newton_products(self, block: Block) -> Block:
        """Gauss-Newton part times each column: float64 (size, k) to the same.

        It is J' L J with J the derivative of all outputs by the weights and L the loss's second derivative by the
        outputs, divided by the number of targets: positive semidefinite if the loss is convex in the outputs.
        Source: Schraudolph 2002 (Neural Computation 14), section 3.

        Raises: TypeError if the model's output is not one tensor.
        """
        return self._products(block, lambda graph, vectors: graph.gauss_newton(vectors))

    def remainder_products(self, block: Block) -> Block:
        """Hessian minus Gauss-Newton part, times each column, from one graph: float64 (size, k) to the same."""
        return self._products(
            block,
            lambda graph, vectors: [
                whole - part for whole, part in zip(graph.hessian(vectors), graph.gauss_newton(vectors), strict=True)
            ],
        )

    @contextmanager
    def cached_graphs(self, *, chunks: int = 1) -> Iterator[None]:
        """Within this context the graphs of the first `chunks` batches live on between products.

        A product then costs one backward pass through the gradient's graph, without the forward pass and the gradient.
        The memory is that of a forward pass and a gradient over those batches; it is freed on leaving. Weights that
        change in between are noticed if torch counts the change (`parameter.data` does not), and the graphs made anew.
        """
        before = self._hold
        self._hold = max(before, chunks)
        try:
            yield
        finally:
            self._hold = before
            self._held = {index: graph for index, graph in self._held.items() if index < before}

    @torch.inference_mode(False)
    def _products(self, block: Block, product: Callable[["_Graph", list[Tensor]], Sequence[Tensor]]) -> Block:
        kept = torch.float32 if len(self._shares) == 1 and block.dtype == np.float32 else torch.float64
        columns = [self._split(column) for column in block.T]
        total: list[Vector] = []
        for share, graph in self._graphs():
            images = [_flat(product(graph, vectors), kept) for vectors in columns]
            if share < 1:
                images = [share * image for image in images]
            total = [before + image for before, image in zip(total, images, strict=True)] if total else images
        whole = total[0][:, None] if len(total) == 1 else np.array(total).reshape(len(total), self.size).T
        return whole.astype(block.dtype, copy=False)

    def _graphs(self) -> Iterator[tuple[float, "_Graph"]]:
        versions = (self.mode, *(parameter._version for parameter in self.parameters))
        self._held = {index: graph for index, graph in self._held.items() if graph.versions == versions}
        for index, share in enumerate(self._shares):
            graph = self._held.get(index) or self._graph(index, versions)
            if index < self._hold:
                self._held[index] = graph
            yield share, graph

    def _graph(self, index: int, versions: tuple[Any, ...]) -> "_Graph":
        inputs, targets = self._moved(self._batches[index])
        with torch.enable_grad():
            outputs = self._outputs(inputs, {})
        return _Graph(outputs, targets, self._loss, self.parameters, versions)

    def _outputs(self, inputs: Any, weights: dict[str, Tensor]) -> Any:
        """One forward pass; in-place changes of buffers (running statistics) go to copies."""
        self.forwards += 1
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with sdpa_kernel(SDPBackend.MATH), self._exact, _without_chance(self.model, self.parameters[0].device):
            return self._call(self.model, weights | buffers, (inputs,))

    def _on_device(self) -> Iterator[tuple[Any, Tensor]]:
        return (self._moved(batch) for batch in self._batches)

    def _moved(self, batch: tuple[Any, Tensor]) -> tuple[Any, Tensor]:
        device = self.parameters[0].device
        inputs, targets = batch
        return tree_map_only(Tensor, lambda tensor: _usable(tensor).to(device), inputs), _usable(targets).to(device)

    def _split(self, vector: Vector) -> list[Tensor]:
        """A vector as tensors of the weights' shapes and types; of its own memory where type and device are theirs."""
        whole = torch.from_numpy(np.ascontiguousarray(vector))
        parts = zip(torch.split(whole, self._sizes), self.parameters, strict=True)
        return [part.view(one.shape).to(one) for part, one in parts]

    @cached_property
    def _sizes(self) -> list[int]:
        return [parameter.numel() for parameter in self.parameters]


class _Graph:
    """One batch's forward pass with its derivatives, each made when it is first needed."""

    def __init__(
        self, outputs: Any, targets: Tensor, loss: Loss, parameters: list[nn.Parameter], versions: tuple[Any, ...]
    ) -> None:
        self.versions = versions
        self._outputs, self._targets = outputs, targets
        self._loss = loss
        self._parameters = parameters

    @cached_property
    def types(self) -> set[torch.dtype]:
        """Types of the weights, and of the real and complex numbers that are made of them on the way to the loss."""
        made = {each.dtype for node in _nodes([self._whole]) for each in node._input_metadata}
        return {one.dtype for one in self._parameters} | {
            one for one in made if one.is_floating_point or one.is_complex
        }

    @cached_property
    def _whole(self) -> Tensor:
        with torch.enable_grad():
            return self._loss(self._outputs, self._targets)

    @cached_property
    def gradient(self) -> tuple[Tensor, ...]:
        return _reaching(self._whole, self._parameters, None)

    @cached_property
    def _slopes(self) -> tuple[Tensor, ...]:
        """The gradient, which has a derivative."""
        return _twice(self._whole, self.gradient)

    def hessian(self, vectors: list[Tensor]) -> tuple[Tensor, ...]:
        return _derivative(self._slopes, self._parameters, vectors)

    def gauss_newton(self, vectors: list[Tensor]) -> tuple[Tensor, ...]:
        covector, pulled = self._pullback
        (pushed,) = _derivative(pulled, [covector], vectors)
        outputs, slope = self._slope
        (curved,) = _derivative([slope], [outputs], [pushed])
        return _derivative([self._outputs], self._parameters, [curved])

    @cached_property
    def _pullback(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A covector u and J'u, which is linear in u: its derivative by u in a direction v is J v."""
        if not isinstance(self._outputs, Tensor):
            raise TypeError(
                f"the model returns {type(self._outputs).__name__}, the Gauss-Newton part needs one tensor; "
                "wrap the model so that it returns its logits"
            )
        covector = torch.zeros_like(self._outputs, requires_grad=True)
        return covector, _twice(self._outputs, _reaching(self._outputs, self._parameters, covector))

    @cached_property
    def _slope(self) -> tuple[Tensor, Tensor]:
        """The outputs as a variable of their own, and the loss's derivative by them."""
        outputs = self._outputs.detach().requires_grad_()
        with torch.enable_grad():
            loss = self._loss(outputs, self._targets)
        return outputs, _twice(loss, _reaching(loss, [outputs], None))[0]


def _usable(tensor: Tensor) -> Tensor:
    """A tensor that a derivative may keep: one made in inference mode is copied."""
    return tensor.clone() if tensor.is_inference() else tensor


def _reaching(value: Tensor, weights: Sequence[Tensor], direction: Tensor | None) -> tuple[Tensor, ...]:
    """Derivative of what must depend on the weights, by them, with its graph; zero for those that it does not reach.

    Raises: ValueError if it reaches none.
    """
    found: tuple[Tensor | None, ...] = ()
    if getattr(value, "requires_grad", False):
        found = torch.autograd.grad(value, weights, direction, create_graph=True, allow_unused=True)
    if all(one is None for one in found):
        raise ValueError(
            "the loss of a batch depends on none of the weights that require gradients, so its curvature would be 0: "
            "outputs or loss are detached, computed without gradients, or those of another network; mend model or loss"
        )
    return tuple(torch.zeros_like(w) if one is None else one for one, w in zip(found, weights, strict=True))


def _twice(value: Tensor, derivative: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The derivative of a value, which is to be differentiated again.

    Raises: ValueError if torch cannot do that, and would take 0 for it where it does not notice.
    """
    if any(_ends_derivatives(node) for node in _nodes([value, *derivative])):
        raise ValueError(
            "model or loss use a custom function whose backward pass is marked once_differentiable, so part of the "
            "curvature would be missing; write that pass with operations of torch, and leave out the mark"
        )
    return derivative


def _derivative(
    values: Sequence[Tensor],
    variables: Sequence[Tensor],
    directions: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Derivative of values along directions by variables; zero where nothing depends on them."""
    kept = [index for index, value in enumerate(values) if value.requires_grad]
    if not kept:
        return tuple(torch.zeros_like(variable) for variable in variables)
    return torch.autograd.grad(
        [values[index] for index in kept],
        variables,
        [directions[index] for index in kept],
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )


ONCE = once_differentiable(print).__code__
"""What torch runs in the place of each backward pass that is marked `once_differentiable`."""


def _ends_derivatives(node: Node) -> bool:
    """Whether torch has no derivative of a node's backward pass."""
    step = getattr(getattr(node, "_forward_cls", None), "backward", None)
    while step is not None and getattr(step, "__code__", None) is not ONCE:
        step = getattr(step, "__wrapped__", None)
    return step is not None or node.name() == "torch::autograd::Error"


def _nodes(tensors: Iterable[Any]) -> set[Node]:
    """All nodes of the graph behind tensors."""
    found: set[Node] = set()
    ahead = [getattr(tensor, "grad_fn", None) for tensor in tensors]
    while ahead:
        if (node := ahead.pop()) is not None and node not in found:
            found.add(node)
            ahead += [before for before, _ in node.next_functions]
    return found


NORMED = (".original0", "_g")
"""Ends of the names of what `weight_norm` makes of a weight."""


class _Plainly(TorchFunctionMode):
    """Makes `weight_norm` of plain operations: torch's own takes the norms for constants when its gradient is
    differentiated, which makes a wrong Hessian (torch 2.13).
    """

    def __torch_function__(
        self, function: Any, types: Any, given: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        """What each operation of torch gives."""
        return (_normed if function is torch._weight_norm else function)(*given, **(named or {}))


def _normed(direction: Tensor, length: Tensor, dim: int = 0) -> Tensor:
    return direction * (length / torch.norm_except_dim(direction, 2, dim))


def _is_compiled(part: Any) -> bool:
    """Whether `torch.compile` has made a module or function, or compiled a module in place."""
    return hasattr(part, "_torchdynamo_orig_callable") or getattr(part, "_compiled_call_impl", None) is not None


def _eager(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with everything in it run as it was written: compiled code has no second derivative."""

    def run(*given: Any) -> Any:
        with torch.compiler.set_stance("force_eager"):
            return function(*given)

    return run


def _flat(tensors: Sequence[Tensor], dtype: torch.dtype = torch.float64) -> Vector:
    whole = torch.cat([tensor.detach().cpu().reshape(-1) for tensor in tensors])
    vector: Vector = whole.to(dtype).numpy()
    return vector


@contextmanager
def _without_chance(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Refuse a forward pass that draws from torch's global generators, and give them back as they were."""
    on_gpu = device.type == "cuda"
    before = torch.get_rng_state(), torch.cuda.get_rng_state(device) if on_gpu else torch.empty(0)
    yield
    after = torch.get_rng_state(), torch.cuda.get_rng_state(device) if on_gpu else torch.empty(0)
    if all(torch.equal(one, other) for one, other in zip(before, after, strict=True)):
        return
    torch.set_rng_state(before[0])
    if on_gpu:
        torch.cuda.set_rng_state(before[1], device)
    active = [name for name, module in model.named_modules() if "Dropout" in type(module).__name__ and module.training]
    raise ValueError(
        f"the model draws random numbers in its forward pass (active dropout: {', '.join(active) or 'none by name'}), "
        "but curvature is that of one fixed function; set the dropout to 0, or call model.eval()"
    )
