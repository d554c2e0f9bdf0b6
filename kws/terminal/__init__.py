"""All that draws on a terminal: messages, progress, results, and the runs that train now."""
