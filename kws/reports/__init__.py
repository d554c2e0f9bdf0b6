"""Reports: read the registry's plain values, return tables, text or figures. Nothing here draws on a terminal."""
