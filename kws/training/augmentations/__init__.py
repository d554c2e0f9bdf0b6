"""The augmentations: one file each, all of them in every recipe and each off by default.

Each has a Config, whose options declare as `absent` what is off, and `augment(features, config)`, which gives features
(B, T, M) as they are, or changed at random by PyTorch's own random numbers, which a checkpoint keeps.
"""
