"""Sweeps: many runs from one command. This package plans them, schedules them, trains them and shows their progress.

    plan            expands several values per option into recipes
    status          which runs of a plan the registry already has, and a time estimate for the rest
    scheduler       submits recipes to an executor until each has ended; handles dead workers and runs of other sweeps
    trainer         what one process does: claims a run and trains it; keeps data and registry open between runs
    executors       chooses the executor
    local_executor  executor: worker processes on this machine
    worker          the main program of such a process
    ray_executor    executor: the nodes of a Ray cluster
    search          hyperparameter search: which recipe to try next, which trial to prune
    trials          runs a search's trials on an executor, together with other processes that search alike
    progress        one live display of all runs

The registry is a sweep's only state, so any process that has access to it can resume the sweep.
"""
