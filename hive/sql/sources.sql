-- name: all
SELECT name, position, kind, location, ref, "commit" FROM sources ORDER BY position;

-- name: put
INSERT INTO sources (name, position, kind, location, ref, "commit")
VALUES (:name, :position, :kind, :location, :ref, :commit);

-- name: move_pin
-- To another commit, if it still stands at the one that was seen.
UPDATE sources SET "commit" = :commit WHERE name = :name AND location = :location AND "commit" = :before;

-- name: clear
DELETE FROM sources;
