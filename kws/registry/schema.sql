CREATE TABLE data (
    fingerprint VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    classes JSON NOT NULL,
    front_end JSON NOT NULL,
    mean FLOAT NOT NULL,
    std FLOAT NOT NULL,
    draw VARCHAR NOT NULL,
    content VARCHAR,
    band_means JSON,
    unused JSON,
    PRIMARY KEY (fingerprint)
);

CREATE TABLE log_base (
    "key" INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    PRIMARY KEY ("key")
);

CREATE TABLE sources (
    sha256 VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (sha256)
)
 WITHOUT ROWID;

CREATE TABLE tests (
    split_fingerprint VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    tested_at VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    recipe VARCHAR NOT NULL,
    PRIMARY KEY (split_fingerprint, run_id, tested_at)
)
 WITHOUT ROWID;

CREATE TABLE manifests (
    data_fingerprint VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    paths BLOB NOT NULL,
    digests BLOB NOT NULL,
    speakers BLOB,
    modified_ns BLOB NOT NULL,
    seconds BLOB NOT NULL,
    PRIMARY KEY (data_fingerprint, split),
    FOREIGN KEY(data_fingerprint) REFERENCES data (fingerprint)
);

CREATE TABLE splits (
    data_fingerprint VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    clips INTEGER NOT NULL,
    counts JSON NOT NULL,
    labels BLOB NOT NULL,
    PRIMARY KEY (data_fingerprint, split),
    FOREIGN KEY(data_fingerprint) REFERENCES data (fingerprint)
)
 WITHOUT ROWID;

CREATE TABLE trainings (
    "key" INTEGER NOT NULL,
    id VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    error VARCHAR,
    name VARCHAR,
    note VARCHAR,
    started_at VARCHAR NOT NULL,
    ended_at VARCHAR,
    parameters INTEGER NOT NULL,
    multiply_accumulates INTEGER,
    data_fingerprint VARCHAR NOT NULL,
    rerun_of VARCHAR,
    deleted_at VARCHAR,
    epochs_done INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    validation_accuracy FLOAT,
    test_accuracy FLOAT,
    recipe_json VARCHAR NOT NULL,
    recipe_digest VARCHAR NOT NULL,
    cell_digest VARCHAR NOT NULL,
    kws_version VARCHAR NOT NULL,
    python_version VARCHAR NOT NULL,
    torch_version VARCHAR NOT NULL,
    platform VARCHAR NOT NULL,
    cpu VARCHAR NOT NULL,
    instruction_set VARCHAR,
    git_commit VARCHAR,
    git_dirty BOOLEAN,
    command VARCHAR NOT NULL,
    PRIMARY KEY ("key"),
    UNIQUE (id),
    FOREIGN KEY(data_fingerprint) REFERENCES data (fingerprint)
);

CREATE TABLE checkpoints (
    run_key INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sha256 VARCHAR NOT NULL,
    safetensors BLOB,
    url VARCHAR,
    PRIMARY KEY (run_key),
    FOREIGN KEY(run_key) REFERENCES trainings ("key")
);

CREATE TABLE epochs (
    run_key INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss FLOAT NOT NULL,
    train_accuracy FLOAT NOT NULL,
    validation_loss FLOAT NOT NULL,
    validation_accuracy FLOAT NOT NULL,
    milliseconds INTEGER NOT NULL,
    processor_seconds FLOAT,
    iteration_losses BLOB NOT NULL,
    iteration_accuracies BLOB NOT NULL,
    PRIMARY KEY (run_key, epoch),
    FOREIGN KEY(run_key) REFERENCES trainings ("key")
)
 WITHOUT ROWID;

CREATE TABLE evaluations (
    run_key INTEGER NOT NULL,
    data_fingerprint VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    evaluated_at VARCHAR NOT NULL,
    clips INTEGER NOT NULL,
    loss FLOAT,
    objective FLOAT NOT NULL,
    accuracy FLOAT NOT NULL,
    predictions BLOB NOT NULL,
    PRIMARY KEY (run_key, data_fingerprint, split),
    FOREIGN KEY(run_key) REFERENCES trainings ("key"),
    FOREIGN KEY(data_fingerprint) REFERENCES data (fingerprint)
)
 WITHOUT ROWID;

CREATE TABLE logits (
    run_key INTEGER NOT NULL,
    data_fingerprint VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    logits BLOB NOT NULL,
    PRIMARY KEY (run_key, data_fingerprint, split),
    FOREIGN KEY(run_key) REFERENCES trainings ("key"),
    FOREIGN KEY(data_fingerprint) REFERENCES data (fingerprint)
)
 WITHOUT ROWID;

CREATE TABLE sessions (
    run_key INTEGER NOT NULL,
    session INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL,
    started_at VARCHAR NOT NULL,
    heartbeat_at VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    boot VARCHAR,
    pid INTEGER NOT NULL,
    process_started VARCHAR,
    environment JSON,
    PRIMARY KEY (run_key, session),
    FOREIGN KEY(run_key) REFERENCES trainings ("key")
)
 WITHOUT ROWID;

CREATE TABLE tags (
    run_key INTEGER NOT NULL,
    tag VARCHAR NOT NULL,
    PRIMARY KEY (run_key, tag),
    FOREIGN KEY(run_key) REFERENCES trainings ("key")
)
 WITHOUT ROWID;

CREATE TABLE weights (
    run_key INTEGER NOT NULL,
    sha256 VARCHAR NOT NULL,
    safetensors BLOB NOT NULL,
    url VARCHAR,
    PRIMARY KEY (run_key),
    FOREIGN KEY(run_key) REFERENCES trainings ("key")
);

CREATE INDEX ix_trainings_cell_digest ON trainings (cell_digest);

CREATE INDEX ix_trainings_recipe_digest ON trainings (recipe_digest);

CREATE INDEX ix_trainings_running ON trainings ("key") WHERE status = 'running'
