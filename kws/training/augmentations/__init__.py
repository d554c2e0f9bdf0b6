"""The augmentations: one file each, all of them in every recipe and each off by default.

Each has a Config, whose options declare as `absent` what is off, and `augment(features, config)`, which gives features
(B, T, M) as they are, or changed at random by PyTorch's own random numbers, which a checkpoint keeps. One that needs to
know the data set has `prepare(config, recipe, loaded)`, too, whose result is augment()'s third argument. One that puts
other clips in the place of a minibatch's has instead `exchange(features, labels, config, result)`, which gives both,
and comes before all others. They follow each other in their ORDER, which is that of sound: a word is said faster or
slower, earlier or later, beside a noise, into a microphone, and what came of it is masked.
"""
