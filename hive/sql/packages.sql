-- name: installed
SELECT p.*, a.size_bytes, a.real, json_extract(a.build, '$.profile') AS profile, pins.name IS NOT NULL AS pinned
FROM packages p JOIN artifacts a ON a.digest = p.artifact LEFT JOIN pins ON pins.name = p.name ORDER BY p.name;

-- name: by_name
SELECT p.*, a.size_bytes, a.real, json_extract(a.build, '$.profile') AS profile, pins.name IS NOT NULL AS pinned
FROM packages p JOIN artifacts a ON a.digest = p.artifact LEFT JOIN pins ON pins.name = p.name WHERE p.name = :name;

-- name: depends
-- What the installed packages depend on, of those that do.
SELECT p.name, p.version, a.depends
FROM packages p JOIN artifacts a ON a.digest = p.artifact WHERE a.depends <> '[]' ORDER BY p.name;

-- name: of_name
-- Every usable artifact of a name, active or not: of a version the active one first, then real ones, the newest first.
SELECT a.* FROM artifacts a LEFT JOIN packages p ON p.artifact = a.digest
WHERE a.name = :name AND a.build_key NOT LIKE 'damaged %'
ORDER BY p.name IS NOT NULL DESC, a.real DESC, a.created_at DESC, a.digest;

-- name: names
SELECT DISTINCT name FROM artifacts ORDER BY name;

-- name: pin
INSERT OR IGNORE INTO pins (name, at) VALUES (:name, :now);

-- name: unpin
DELETE FROM pins WHERE name = :name;

-- name: insert_artifact
INSERT OR IGNORE INTO artifacts
    (digest, name, version, build_key, size_bytes, created_at, real, build, metrics, pins, isolation, wall_s, depends,
     determinism, libraries)
VALUES
    (:digest, :name, :version, :build_key, :size_bytes, :now, :real, :build, :metrics, :pins, :isolation, :wall_s,
     :depends, :determinism, :libraries);

-- name: artifact
SELECT * FROM artifacts WHERE digest = :digest;

-- name: artifacts
SELECT * FROM artifacts ORDER BY created_at;

-- name: artifact_by_key
SELECT * FROM artifacts WHERE build_key = :build_key ORDER BY created_at DESC LIMIT 1;

-- name: forget_artifact
-- Damaged beyond use: the next install builds it anew. Generations that name it go on naming it.
UPDATE artifacts SET build_key = 'damaged ' || digest WHERE digest = :digest;

-- name: new_generation
INSERT INTO generations (at, reason, origin) VALUES (:now, :reason, :origin) RETURNING id;

-- name: carry_over
-- The new generation begins as a copy of the one before it.
INSERT INTO generation_packages (generation, name, version, artifact, automatic, installed_at)
SELECT :generation, name, version, artifact, automatic, installed_at
FROM generation_packages WHERE generation = (SELECT max(id) FROM generations WHERE id < :generation);

-- name: put
INSERT INTO generation_packages (generation, name, version, artifact, automatic, installed_at)
VALUES (:generation, :name, :version, :artifact, :automatic, :now)
ON CONFLICT (generation, name) DO UPDATE SET
    version = excluded.version, artifact = excluded.artifact,
    automatic = min(automatic, excluded.automatic), installed_at = excluded.installed_at;

-- name: drop
DELETE FROM generation_packages WHERE generation = :generation AND name = :name;

-- name: generations
SELECT * FROM generations ORDER BY id;

-- name: generation
SELECT * FROM generations WHERE id = :generation;

-- name: of_generation
SELECT p.*, a.size_bytes, a.real, json_extract(a.build, '$.profile') AS profile, pins.name IS NOT NULL AS pinned
FROM generation_packages p JOIN artifacts a ON a.digest = p.artifact LEFT JOIN pins ON pins.name = p.name
WHERE p.generation = :generation ORDER BY p.name;

-- name: copy
INSERT INTO generation_packages (generation, name, version, artifact, automatic, installed_at)
SELECT :generation, name, version, artifact, automatic, installed_at
FROM generation_packages WHERE generation = :source;

-- name: forget_generation
DELETE FROM generations WHERE id = :generation;

-- name: holders
-- The generations that hold each artifact.
SELECT DISTINCT artifact, generation FROM generation_packages ORDER BY generation;

-- name: unneeded
-- Artifacts that no generation holds and that no build at hand depends on.
SELECT * FROM artifacts a
WHERE NOT EXISTS (SELECT 1 FROM generation_packages p WHERE p.artifact = a.digest)
    AND NOT EXISTS (
        SELECT 1 FROM jobs j, json_each(j.build, '$.dependencies') d
        WHERE j.state IN ('queued', 'running') AND d.value = a.build_key
    )
ORDER BY a.name, a.created_at;

-- name: drop_artifact
DELETE FROM artifacts WHERE digest = :digest;
