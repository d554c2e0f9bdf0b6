"""Training: the loop, the optimizers, checkpoints, and the runner, which is the only way a run is executed."""
