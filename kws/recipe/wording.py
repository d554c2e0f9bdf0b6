"""How numbers of things are said, the same in every message."""


def counted(number: int, what: str) -> str:
    """A number of things: "1 clip", "1,024 clips"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
