"""Everything that kws raises on purpose, and the exit code that each ends a command with.

    KwsError                  1   one sentence: the value, what would do, the next command to try
    ├── RecipeError           1   a hyperparameter that cannot be
    ├── DataError             1   a data source that is missing, incomplete or unusable
    │   ├── ClipError         1   one recording that cannot be used; names it
    │   └── DownloadError     1   an archive that could not be fetched, or is not what it should be
    ├── RegistryError         1   a database that cannot be opened or does not hold what was asked for
    │   ├── UnknownRunError   1   no run, or several, by that id
    │   ├── UntrustedError    1   a network whose code is in a registry, and that nobody asked to run
    │   └── UnavailableError  1   a registry that cannot be used now, and may be later
    │       └── LostConnectionError   a connection to a server that broke within a transaction
    ├── PageError             1   a page that cannot be written or served
    ├── ModelError            1   a network that cannot be exported, or an exported file that cannot be used
    └── DivergedError         1   a loss that is no longer finite

Mistakes in the command line itself (an option that does not exist, a value of the wrong kind) are Click's and
end with 2. No traceback reaches a user for any of these.
"""


class KwsError(Exception):
    """What a user can mend; its message is one sentence."""

    exit_code = 1


class RecipeError(KwsError):
    """A hyperparameter, or a combination of them, that cannot be."""


class DataError(KwsError):
    """A data source that is missing, incomplete or unusable."""


class ClipError(DataError):
    """A recording that cannot be used; the message names it."""


class DownloadError(DataError):
    """An archive that could not be fetched, or that is not what it should be."""


class RegistryError(KwsError):
    """A database that cannot be opened, or that does not hold what was asked for."""


class UnknownRunError(RegistryError):
    """No run, or more than one, goes by that id."""


class NotOursError(RegistryError):
    """Another process has gone on with a run, of which nothing that this one records counts any more."""

    checkpoint: str | None = None  # the URL of the one that is recorded, where this one's had a URL, too


class UntrustedError(RegistryError):
    """The code of a network comes from a registry, and was not asked to be run."""


class UnavailableError(RegistryError):
    """A registry that cannot be used now, and may be later: its server is away, or another program has locked it.

    `what` is that alone; the message also has what to do.
    """

    def __init__(self, what: str, advice: str = "try again when it is there") -> None:
        super().__init__(f"{what}; {advice}")
        self.what, self.advice = what, advice

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """How it is sent to another process."""
        return type(self), (self.what, self.advice)


class LostConnectionError(UnavailableError):
    """A connection to a server broke within a transaction, which was not kept, or whose end is not known."""


class PageError(KwsError):
    """A page that cannot be written where it should be, or served."""


class ModelError(KwsError):
    """A network that cannot be exported, or an exported file that cannot be used or disagrees with its run."""


class DivergedError(KwsError):
    """The training or validation loss is no longer a finite number."""


def needs(what: str, *packages: str) -> str:
    """The sentence for what needs optional packages that are not installed.

    It names the packages, and no extra of kws: what is called kws on the package index is another project.
    """
    are = "is" if len(packages) == 1 else "are"
    return (
        f"{what} needs {' and '.join(packages)}, which {are} not installed: python -m pip install {' '.join(packages)}"
    )
