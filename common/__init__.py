"""The shared library: one room for each subject; a room uses only those above it."""

ROOMS = {
    "config": "what a run is: kinds with their fields, defaults and rules; the tables of the parametrizations",
    "streams": "named random numbers",
    "data": "what a run reads: sources, corpora, batches, and the losses that score them",
    "models": "what it trains: networks, initial values by role, activations, norms",
    "optim": "how it moves: schedules, decay shapes, optimizers, an average of the weights",
    "curvature": "measurements of a loss: eigenvalues, spectra, traces, line searches, thresholds of stability",
    "continual": "learning task after task: memories, projections, regularisers, metrics",
    "training": "the loop: one run or members side by side, evaluations, probes",
    "runs": "files and processes of a run: job, records, checkpoints, snapshots, fork server, progress",
    "evidence": "what runs say of a claim: intervals, readings, verdicts, registration, replication, ladders",
    "plotting": "pictures; alone imports matplotlib",
    "tracking": "the mirror to MLflow; its `store` alone imports mlflow",
    "pipeline": "the graph: studies, scales, digests, cost, rules, the generator of studies",
    "site": "pages of claims, studies and runs: what is known, as data, as HTML; alone imports jinja2",
}
"""The rooms in their order, and what one finds there. The law of imports and the map in CONTRIBUTING are read here."""
