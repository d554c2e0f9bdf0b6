"""Many runs from one command: their plan, who trains them, and how that is shown.

    plan        every combination of several values, as recipes
    standing    what of a plan the registry has, and how long the rest may take
    line        recipes on their way to processes, until each has ended; deaths and runs of others
    trainer     what one process does: it claims a run and trains it, data and registry kept from one to the next
    pool        an executor: processes of this machine
    worker      such a process
    cluster     an executor: the nodes of a Ray cluster
    search      which recipe a search over hyperparameters tries next
    shown       one live display for all of it

The registry is a sweep's only state: nothing else is kept, so any process that sees it can go on.
"""
