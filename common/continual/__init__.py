"""Learning task after task: memories of past tasks, projections, regularisers, and metrics of forgetting."""
