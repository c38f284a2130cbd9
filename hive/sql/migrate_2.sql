-- From version 2 to 3: a generation remembers which one it went back to.

ALTER TABLE generations ADD COLUMN origin INTEGER;
