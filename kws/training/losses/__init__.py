"""The losses: one file each. Each has a Config and `loss(logits, labels, config)`, summed over the clips, in nats."""
