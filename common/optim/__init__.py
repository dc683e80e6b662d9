"""How a run moves: schedules and their decay shapes, optimizers and their state, an average of the weights."""
