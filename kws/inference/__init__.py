"""A run's network at work: words and probabilities of clips, detections in a stream, a file that runs elsewhere."""
