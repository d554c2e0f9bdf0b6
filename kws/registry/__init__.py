"""The registry: every run's recipe, data, environment, epochs, evaluations and weights, in one SQLite file."""
