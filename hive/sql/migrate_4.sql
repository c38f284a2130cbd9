-- From version 4 to 5: the class of machines that gives an artifact's bytes.

ALTER TABLE artifacts ADD COLUMN determinism TEXT NOT NULL DEFAULT '';
