"""The schema's number, and which tables belong to a run or a data set. kws.registry.tables declares them all."""

SCHEMA_VERSION = 7
BELONGINGS = (
    "sessions",
    "tags",
    "epochs",
    "evaluations",
    "logits",
    "weights",
    "checkpoints",
)  # the tables with a run_key
OF_DATA = {"data": "fingerprint", "splits": "data_fingerprint", "manifests": "data_fingerprint"}  # and their keys
TABLES = (*OF_DATA, "sources", "trainings", *BELONGINGS, "tests")
TRUTHS = ("git_dirty",)  # the boolean columns
