"""What Python programs use of kws: `kws.open`, `kws.load` and what they return."""
