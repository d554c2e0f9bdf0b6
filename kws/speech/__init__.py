"""From recordings to features: a data source, its splits, waveforms (B, S), log-mel features (B, T, M)."""
