"""The tasks: what is to be told apart, one file each."""
