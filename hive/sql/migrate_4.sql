-- From version 4 to 5: the class of machines that gives an artifact's bytes, and the libraries that it was built with.

ALTER TABLE artifacts ADD COLUMN determinism TEXT NOT NULL DEFAULT '';
ALTER TABLE artifacts ADD COLUMN libraries TEXT NOT NULL DEFAULT '{}';
