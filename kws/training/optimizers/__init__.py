"""The optimizers: one file each, and the file's name is the optimizer's name on the command line.

Each file has a Config, whose defaults are the report's, and `optimizer(parameters, config)`, which is PyTorch's
optimizer over a network's parameters. torch is imported inside, so that names and defaults are known without it.
"""
