"""The schedules of the learning rate: one file each.

Each has `factor(step, steps, config)`: what the optimizer's learning rate is multiplied by in a step, counted from 0,
of so many in all.
"""
