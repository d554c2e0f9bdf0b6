"""The schema: its number, and the tables of it that a run or a data set owns. kws.registry.tables has all of it."""

SCHEMA_VERSION = 5
BELONGINGS = (
    "sessions",
    "tags",
    "epochs",
    "evaluations",
    "logits",
    "weights",
    "checkpoints",
)  # the tables with a run_key
OF_DATA = {"data": "fingerprint", "splits": "data_fingerprint", "manifests": "data_fingerprint"}  # and their key
TABLES = (*OF_DATA, "trainings", *BELONGINGS, "tests")
TRUTHS = ("git_dirty",)  # the columns that are true or false
