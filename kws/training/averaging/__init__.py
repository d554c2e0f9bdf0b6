"""Averages of a network's weights over training: one file each.

Each has `updated(average, model, config)`: the average after a step, tensors by their names in the network's
state_dict(), from that before it, which is empty before the first step. An empty one is no average.
"""
