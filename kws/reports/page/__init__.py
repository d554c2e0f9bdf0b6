"""The page: Table 1, curves, confusion matrices and every run, as one file that opens offline or live in a browser."""
