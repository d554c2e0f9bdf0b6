"""Everything that draws on a terminal: messages, progress, results, and the live display of training runs."""
