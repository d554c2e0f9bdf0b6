"""A run's network as one ONNX file from waveform to probabilities, checked on real clips before it is kept."""
