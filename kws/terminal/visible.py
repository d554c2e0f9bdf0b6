"""Text from outside (names, paths, notes) as a terminal may print it. Standard library only."""


def visible(text: str) -> str:
    """Text from outside on one line, with control characters, escape sequences above all, made visible."""
    return visible_part(" ".join(text.split()))


def visible_part(text: str) -> str:
    """The same with its spaces as they are."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
