"""Measurements of the loss around given weights: sharpness, spectra, and what an update rule can stand.

Any torch module, any loss, in five lines:

>>> import torch
>>> from common.curvature.lanczos import extremes
>>> from common.curvature.objective import Objective
>>> from common.curvature.operators import Hessian

>>> model = torch.nn.Linear(2, 1, bias=False)
>>> batches = [(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1))]
>>> objective = Objective(model, torch.nn.functional.mse_loss, batches)
>>> with objective.cached_graphs():
...     found = extremes(Hessian(objective), smallest=1)
>>> round(found.value, 4), found.smallest.values.round(4).tolist(), found.products, found.converged
(4.0, [1.0], 2, True)

| module | measures |
|---|---|
| `objective` | loss, gradient, products with the Hessian, its Gauss-Newton part and the remainder |
| `operators` | these as matrices known by their products; scaled by rates or a preconditioner; dense |
| `basis` | orthonormal vectors, made and combined piece by piece |
| `lanczos` | largest and smallest eigenvalues with residual bounds, cold or from the last measurement |
| `sharpness` | the largest eigenvalue over an update rule's threshold |
| `stability` | thresholds of update rules; the diagonal that they scale gradients with |
| `density`, `trace` | the whole spectrum, smoothed; its sum |
| `batches`, `alignment`, `critical` | random batches; the gradient's place; a proxy without second derivatives |
| `line` | the loss along straight lines |
"""
