"""Bundles that no hive has made. Each is refused in words, before anything of it is kept or lies elsewhere."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import MODEL, Forged, Model, sha256, tar_of, to_json, trivial_build, trivial_files

from hive import manifest
from hive.config import load_settings
from hive.errors import HiveError
from hive.paths import Home
from hive.service import Hive

Case = Callable[[Forged], None]
CASES: dict[str, tuple[Case, str]] = {}


def case(words: str, *variants: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register what to do to a bundle, once for each variant, and some words of the refusal."""

    def register(make: Callable[..., None]) -> Callable[..., None]:
        name = make.__name__.replace("_", " ")
        for number, variant in enumerate(variants):
            CASES[f"{name} {number}"] = (lambda forged, variant=variant: make(forged, variant)), words
        if not variants:
            CASES[name] = make, words
        return make

    return register


def entry(name: str, raw: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(raw)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, raw


# -- the tar


@case(
    "does not belong there", "../evil", "/tmp/evil", "blobs/sha256/../../evil", "evil.txt", "blobs/sha256/" + "A" * 64
)
def a_file_elsewhere(forged: Forged, name: str) -> None:
    forged.on_entries = lambda entries: entries.append(entry(name, b"evil"))


@case(" is a", tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
      tarfile.GNUTYPE_SPARSE, tarfile.DIRTYPE)  # fmt: skip
def no_plain_file(forged: Forged, kind: bytes) -> None:
    name = f"blobs/sha256/{'a' * 64}"
    forged.on_entries = lambda entries: entries.insert(0, entry(name, type=kind, linkname="/etc/passwd", devmajor=1))


@case("is an extension header", tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
def a_pax_header_that_renames(forged: Forged, kind: bytes) -> None:
    forged.on_entries = lambda entries: entries.insert(2, entry("pax", b"22 path=../../../evil\n", type=kind))


@case("is an extension header", tarfile.XHDTYPE)
def a_pax_header_that_makes_a_sparse_file(forged: Forged, kind: bytes) -> None:
    raw = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n30 GNU.sparse.realsize=999999\n"
    forged.on_entries = lambda entries: entries.insert(2, entry("pax", raw, type=kind))


@case("is an extension header", tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
def a_long_name(forged: Forged, kind: bytes) -> None:
    forged.on_entries = lambda entries: entries.insert(2, entry("././@LongLink", b"../../evil\0", type=kind))


@case("is there twice")
def a_name_twice(forged: Forged) -> None:
    forged.on_entries = lambda entries: entries.append(entries[2])


@case("set-user-id", 0o4755, 0o2755, 0o1644)
def special_bits(forged: Forged, mode: int) -> None:
    forged.on_entries = lambda entries: setattr(entries[2][0], "mode", mode)


@case("set-user-id")
def a_plain_file_with_a_target(forged: Forged) -> None:
    forged.on_entries = lambda entries: setattr(entries[2][0], "linkname", "/etc/passwd")


@case("does not belong there", "\x1b]0;evil\x07", "blobs/sha256/\n", "oci-layout ")
def control_characters(forged: Forged, name: str) -> None:
    forged.on_entries = lambda entries: entries.append(entry(name))


@case("a header of it is broken")
def a_name_that_is_no_text(forged: Forged) -> None:
    forged.on_entries = lambda entries: entries.append(entry("blobs/\udcff\udcfe"))


@case("claims", 1 << 62, 10_000_000_000, -512)
def a_size_that_is_not_there(forged: Forged, size_bytes: int) -> None:
    forged.on_entries = lambda entries: setattr(entries[-1][0], "size", size_bytes)


@case("a header of it is broken")
def a_broken_checksum(forged: Forged) -> None:
    def flip(raw: bytearray) -> None:
        raw[512 * 2 + 3] ^= 1

    forged.on_bytes = flip


@case("", 100, 600, 1500, 512 * 9, -1, -512, -1024, -1536)
def cut_short(forged: Forged, where: int) -> None:
    def cut(raw: bytearray) -> None:
        del raw[where:]

    forged.on_bytes = cut


@case("something follows its end", b"evil", bytes(4096) + b"x")
def something_behind_the_end(forged: Forged, more: bytes) -> None:
    forged.on_bytes = lambda raw: raw.extend(more)


@case("something follows its end")
def another_tar_behind_the_end(forged: Forged) -> None:
    forged.on_bytes = lambda raw: raw.extend(tar_of([entry("evil", b"evil")]))


@case("bytes follow its end")
def zeros_without_end(forged: Forged) -> None:
    forged.on_bytes = lambda raw: raw.extend(bytes(2 << 20))


@case("entries")
def tens_of_thousands_of_entries(forged: Forged) -> None:
    def fill(raw: bytearray) -> None:
        raw[:0] = entry("blobs", type=tarfile.DIRTYPE)[0].tobuf(tarfile.GNU_FORMAT) * 42_000

    forged.on_bytes = fill


@case("it is compressed (gzip)")
def a_compressed_bomb(forged: Forged) -> None:
    def compress(raw: bytearray) -> None:
        raw[:] = gzip.compress(bytes(64 << 20), 1)

    forged.on_bytes = compress


@case("it is compressed", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0", b"PK\x03\x04")
def compressed_otherwise(forged: Forged, magic: bytes) -> None:
    def compress(raw: bytearray) -> None:
        raw[:0] = magic + bytes(508)

    forged.on_bytes = compress


@case("", b"", b"\0" * 100, b"\0" * 5000, pickle.dumps({"evil": 1}) * 500)
def no_tar_at_all(forged: Forged, content: bytes) -> None:
    def put(raw: bytearray) -> None:
        raw[:] = content

    forged.on_bytes = put


# -- the layout


@case("it has no", "oci-layout", "index.json")
def without_a_fixed_document(forged: Forged, name: str) -> None:
    forged.on_blobs = lambda blobs: blobs.pop(name) and None


@case("another version")
def another_layout(forged: Forged) -> None:
    forged.on_blobs = lambda blobs: blobs.update({"oci-layout": b'{"imageLayoutVersion":"9.0.0"}'})


DEEP = b"[" * 100_000 + b"]" * 100_000


@case("not proper JSON", b"", DEEP, b'{"a":' * 50_000, b"\xff\xfe{}", b'{"schemaVersion":2,"schemaVersion":2}', b"{",
      b'{"schemaVersion":NaN}', b'{"schemaVersion":' + b"9" * 5000 + b"}")  # fmt: skip
def an_index_that_cannot_be_read(forged: Forged, raw: bytes) -> None:
    forged.on_blobs = lambda blobs: blobs.update({"index.json": raw})


@case("", b"[]", b"null", b'{"schemaVersion":1,"manifests":[]}', b'{"schemaVersion":2,"manifests":{}}',
      b'{"schemaVersion":2,"manifests":[7]}', b'{"schemaVersion":2,"manifests":[]}')  # fmt: skip
def an_index_of_another_shape(forged: Forged, raw: bytes) -> None:
    forged.on_blobs = lambda blobs: blobs.update({"index.json": raw})


@case("should be a document")
def an_index_without_end(forged: Forged) -> None:
    forged.on_blobs = lambda blobs: blobs.update({"index.json": b'{"a":"' + b"x" * (17 << 20) + b'"}'})


@case("is not in it")
def an_index_that_points_at_nothing(forged: Forged) -> None:
    forged.on_index = lambda index: index["manifests"][0].update(digest="sha256:" + "a" * 64)


@case("twice")
def a_model_that_is_named_twice(forged: Forged) -> None:
    forged.on_index = lambda index: index["manifests"].append(index["manifests"][0])


@case("which is none", "sha256:../../../evil", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha512:" + "a" * 64, "",
      None, ["sha256:" + "a" * 64], "sha256:" + "a" * 64 + "\n")  # fmt: skip
def a_digest_that_is_none(forged: Forged, digest: Any) -> None:
    forged.on_image = lambda image: image["layers"][1].update(digest=digest)


@case("", -1, True, 1.5, "9", None, 1 << 70)
def a_size_that_is_none(forged: Forged, size_bytes: Any) -> None:
    forged.on_image = lambda image: image["layers"][1].update(size=size_bytes)


@case("instead of", -1, 1)
def a_wrong_size(forged: Forged, by: int) -> None:
    forged.on_image = lambda image: image["layers"][2].update(size=image["layers"][2]["size"] + by)


@case("a blob is not", "weights.json", "recipe/train.py", "manifest.json", "metrics.json")
def content_that_is_not_its_digest(forged: Forged, path: str) -> None:
    def flip(blobs: dict[str, bytes]) -> None:
        model = forged.models[0]
        raw = model.manifest if path == "manifest.json" else model.files[path]
        blobs[f"blobs/sha256/{sha256(raw)}"] = raw[:-1] + bytes([raw[-1] ^ 1])

    forged.on_blobs = flip


@case("a blob is not", 0, 1)
def a_document_that_is_not_its_digest(forged: Forged, number: int) -> None:
    def flip(blobs: dict[str, bytes]) -> None:
        documents = [
            name for name, raw in blobs.items() if raw.startswith(b'{"artifactType') or b'"modelfs"' in raw[:2000]
        ]
        name = [each for each in documents if each.startswith("blobs")][number]
        blobs[name] = blobs[name][:-1] + b" "

    forged.on_blobs = flip


@case(
    "which hive does not take",
    MODEL + "weight.v1.tar+zstd",
    MODEL + "weight.v1.tar",
    "application/octet-stream",
    None,
    {},
)
def a_layer_of_an_unknown_type(forged: Forged, media_type: Any) -> None:
    forged.on_image = lambda image: image["layers"][1].update(mediaType=media_type)


@case("which hive does not take")
def an_index_in_an_index(forged: Forged) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    forged.on_index = lambda index: index["manifests"][0].update(mediaType=kind)


@case("no model", "application/vnd.oci.image.config.v1+json", None)
def an_image_of_something_else(forged: Forged, kind: Any) -> None:
    forged.on_image = lambda image: image.update(artifactType=kind)


@case("has no config")
def without_a_config(forged: Forged) -> None:
    forged.on_image = lambda image: image.pop("config") and None


@case("is not in it")
def a_config_that_is_not_there(forged: Forged) -> None:
    forged.on_image = lambda image: image["config"].update(digest="sha256:" + "c" * 64)


@case("which hive does not take")
def a_config_of_another_type(forged: Forged) -> None:
    forged.on_image = lambda image: image["config"].update(mediaType="application/vnd.oci.image.config.v1+json")


@case("is not that of")
def the_config_of_another_model(forged: Forged) -> None:
    forged.on_config = lambda config: config["descriptor"].update(name="other")


@case("other layers")
def the_config_of_other_layers(forged: Forged) -> None:
    forged.on_config = lambda config: config["modelfs"]["diffIds"].pop() and None


@case("belongs to no model")
def a_blob_that_nobody_names(forged: Forged) -> None:
    forged.on_blobs = lambda blobs: blobs.update({f"blobs/sha256/{sha256(b'x')}": b"x"})


@case("does not say which file it is", {}, None, [], {"org.cncf.model.filepath": 7},
      {"org.cncf.model.filepath": "a", "org.opencontainers.image.title": "b"})  # fmt: skip
def a_layer_without_a_path(forged: Forged, notes: Any) -> None:
    forged.on_image = lambda image: image["layers"][1].update(annotations=notes)


# -- the artifact


@case("leads out of its folder", "../evil", "/tmp/evil", "recipe/../../evil", "a//b", "./a", "a/", "", "..")
def a_path_that_leads_out(forged: Forged, path: str) -> None:
    forged.models[0].files[path] = b"evil"


@case("holds a character", "a\\..\\evil", "a\x00b", "a\nb", "\x1b[2J", "a\u202egnp.exe", "\ud800")
def a_path_with_strange_characters(forged: Forged, path: str) -> None:
    forged.models[0].files[path] = b"evil"


@case("is too long", "x" * 256, "/".join("x" * 100 for _ in range(12)), "/".join("x" * 33))
def a_path_without_end(forged: Forged, path: str) -> None:
    forged.models[0].files[path] = b"evil"


@case("is a pickle", "weights.pkl", "model.pt", "deep/er/WEIGHTS.PTH", "recipe/x.joblib")
def a_pickle_among_the_weights(forged: Forged, path: str) -> None:
    forged.models[0].files[path] = pickle.dumps({})


@case("where case does not count", "WEIGHTS.json", "Manifest.json", "recipe/Train.py")
def names_that_differ_in_case(forged: Forged, path: str) -> None:
    forged.models[0].files[path] = b"evil"


@case("where case does not count")
def names_that_differ_in_spelling(forged: Forged) -> None:
    forged.models[0].files |= {"caf\u00e9": b"1", "cafe\u0301": b"2"}


@case("is a file and a folder", "weights.json/evil", "manifest.json/evil", "recipe/train.py/evil/er")
def a_file_that_is_a_folder(forged: Forged, path: str) -> None:
    forged.models[0].files[path] = b"evil"


@case("does not list the files", "more", "less", "other")
def a_manifest_that_does_not_match(forged: Forged, how: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        files = document["files"]
        if how == "more":
            files.append({"path": "evil", "sha256": "a" * 64, "size_bytes": 1})
        elif how == "less":
            files.pop()
        else:
            files[0]["sha256"] = "a" * 64

    forged.on_artifact = edit


@case("", None, 7, {}, [7], [{"path": "a"}])
def a_manifest_without_files(forged: Forged, files: Any) -> None:
    forged.on_artifact = lambda document: document.update(files=files)


@case("has no", "metrics.json", "recipe/recipe.toml")
def without_a_file_that_each_has(forged: Forged, path: str) -> None:
    del forged.models[0].files[path]


@case("has no manifest.json")
def without_a_manifest(forged: Forged) -> None:
    forged.on_image = lambda image: image["layers"].pop(0) and None


def of(forged: Forged, name: str = "trivial", **fields: Any) -> None:
    """Let the model be one that names itself so throughout."""
    wanted = trivial_build(version=fields.pop("version", "1.0.0"), **fields)
    facts = manifest.facts(wanted, (), True)
    facts["build"]["name"] = facts["name"] = name
    from hive.model import Build, DataSource

    inner = {**facts["build"], "data": {key: DataSource("", pinned) for key, pinned in facts["build"]["data"].items()}}
    facts["build_key"] = Build(**inner).key
    forged.models = [Model(facts, trivial_files(name, wanted.version))]


@case("is not a name of a model", "../evil", "a/b", "Evil", "-evil", "x" * 65, "evil\n", "")
def a_name_that_is_none(forged: Forged, name: str) -> None:
    of(forged, name)


@case("is not a version", "../1", "1.0\n", "", "1.0; evil")
def a_version_that_is_none(forged: Forged, version: str) -> None:
    of(forged, version=version)


@case("is not a digest", "../../evil", "sha256:../../evil", "")
def a_recipe_digest_that_leads_out(forged: Forged, digest: str) -> None:
    of(forged, recipe_digest=digest)


@case("is not a digest")
def a_dependency_that_is_none(forged: Forged) -> None:
    of(forged, dependencies={"base": "../evil"})


@case("are not those of its build", "name", "version", "build_key")
def a_manifest_that_contradicts_itself(forged: Forged, key: str) -> None:
    forged.models[0].facts[key] = "other"


@case("is not one of this hive", "build", "pins", "real", "name")
def a_manifest_that_lacks(forged: Forged, key: str) -> None:
    del forged.models[0].facts[key]


@case("is not one of this hive", {"evil": 1}, {"seed": "x"}, {"params": {"a": [1]}}, {"params": {"a": None}},
      {"dependencies": [7]}, {"data": {"user": 7}}, {"name": 7})  # fmt: skip
def a_build_of_another_shape(forged: Forged, fields: dict[str, Any]) -> None:
    raw = {**forged.models[0].facts["build"], **fields}
    forged.models[0].facts["build"] = raw


@case("has format 2")
def a_manifest_of_tomorrow(forged: Forged) -> None:
    forged.models[0].facts["format"] = 2


@case("", b"{}", b"[7]", b'[{"name":"a"}]', b'[{"name":"a","value":"x"}]', b'[{"name":7,"value":1}]', DEEP,
      b'[{"name":"quality","value":1e999}]', b'[{"name":"quality","value":1,"evil":1}]', b"null")  # fmt: skip
def metrics_of_another_shape(forged: Forged, raw: bytes) -> None:
    forged.models[0].files["metrics.json"] = raw


@case("not the one that it was built from")
def other_code_under_a_known_recipe_digest(forged: Forged) -> None:
    forged.models[0].files["recipe/predict.py"] += b"import os\n"


@case("not the one that it was built from")
def a_recipe_with_code_added(forged: Forged) -> None:
    forged.models[0].files["recipe/json.py"] = b"import os\n"


@case("does not belong to the recipe", "test_evil.py", ".evil.py", "__pycache__/train.pyc", "sub/README.md", "evil.pyc")
def a_file_that_no_recipe_keeps(forged: Forged, name: str) -> None:
    forged.models[0].files[f"recipe/{name}"] = b"evil"


@case("not the one that it was built from")
def a_recipe_of_another_name(forged: Forged) -> None:
    toml = forged.models[0].files["recipe/recipe.toml"]
    forged.models[0].files["recipe/recipe.toml"] = toml.replace(b'"trivial"', b'"other"')


@case("cannot be read", b"", b"evil", b"a = " + b"[" * 20_000, b"\xff\xfe", b"[recipe]\nname = 'trivial'\n")
def a_recipe_that_cannot_be_read(forged: Forged, toml: bytes) -> None:
    forged.models[0].files["recipe/recipe.toml"] = toml


@case("a recipe.toml has")
def a_recipe_without_end(forged: Forged) -> None:
    forged.models[0].files["recipe/recipe.toml"] += b"#" * (2 << 20)


@case("has no profile")
def a_toy_that_says_it_is_real(forged: Forged) -> None:
    forged.models[0].facts = manifest.facts(trivial_build(profile="smoke"), (), True)


@case("has no profile")
def a_profile_that_the_recipe_has_not(forged: Forged) -> None:
    forged.models[0].facts = manifest.facts(trivial_build(profile="evil"), (), True)


@case("misses its quality gates")
def a_model_below_its_gates(forged: Forged) -> None:
    forged.models[0].files["metrics.json"] = to_json([{"name": "quality", "value": 0.1}])


@case("two builds of trivial", {"seed": 1}, {"version": "2.0.0"})
def two_builds_under_one_name(forged: Forged, fields: dict[str, Any]) -> None:
    other = trivial_build(**fields)
    forged.models.append(Model(manifest.facts(other, (), True), trivial_files(version=other.version)))


@case("lacks base")
def without_what_it_was_built_on(forged: Forged) -> None:
    of(forged, dependencies={"base": "sha256:" + "b" * 64})


@case("claim to be")
def one_file_a_thousand_times(forged: Forged) -> None:
    forged.models[0].files |= {f"copy-{number}": b"x" * (1 << 18) for number in range(1000)}


@case("more than 10,000 files")
def a_model_of_too_many_files(forged: Forged) -> None:
    forged.models[0].files |= {f"{number}": b"" for number in range(10_001)}


# -- what becomes of them


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below, but the database, which an import that was refused may have made."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if not path.name.startswith(("hive.db", "database.lock"))
    }


@pytest.fixture
def service(home: Home) -> Hive:
    return Hive(home, load_settings(home.root))


def silent(done: int, total: int) -> None:
    return None


def test_the_bundle_that_all_the_others_are_made_from_is_taken(service: Hive, tmp_path: Path) -> None:
    path = Forged().write(tmp_path / "good.tar")
    assert [each.action for each in service.import_bundle(path, True, silent)] == ["install"]
    [arrival] = service.import_bundle(path, False, silent)
    assert [package.artifact for package in service.packages()] == [arrival.artifact.digest] == [Model().digest]
    assert service.store.verify(arrival.artifact.digest) == []


@pytest.mark.parametrize("name", CASES)
def test_hostile_bundle_is_refused_and_leaves_nothing(name: str, service: Hive, tmp_path: Path) -> None:
    make, words = CASES[name]
    forged = Forged()
    make(forged)
    path = forged.write(tmp_path / "evil.tar")
    before = tree(tmp_path)
    for dry_run in (True, False):
        with pytest.raises(HiveError, match=r"evil\.tar|trivial") as refused:
            service.import_bundle(path, dry_run, silent)
        assert words in f"{refused.value.message}: {refused.value.why}"
    assert tree(tmp_path) == before
    assert not Path("/tmp/evil").exists()
    assert service.packages() == []


@pytest.mark.parametrize("byte", range(0, 12_000, 397))
def test_a_flipped_bit_anywhere_is_found(byte: int, service: Hive, tmp_path: Path) -> None:
    """Padding and what a header says of owners is of no meaning, and may be anything."""
    path = Forged().write(tmp_path / "bundle.tar")
    raw = bytearray(path.read_bytes())
    raw[byte % len(raw)] ^= 0x10
    path.write_bytes(raw)
    try:
        [arrival] = service.import_bundle(path, False, silent)
    except HiveError:
        assert service.packages() == [] and list(service.home.staging.iterdir()) == []
    else:
        assert service.store.verify(arrival.artifact.digest) == [] and arrival.artifact.digest == Model().digest


def test_python_reads_what_the_corpus_starts_from(tmp_path: Path) -> None:
    """The corpus is made of real tars: another reader sees what hive refuses."""
    raw = Forged().tar()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        index = json.loads(tar.extractfile("index.json").read())  # type: ignore[union-attr]
    assert re.fullmatch(r"sha256:[a-f0-9]{64}", index["manifests"][0]["digest"])


def test_there_are_more_than_forty(tmp_path: Path) -> None:
    assert len({name.rstrip("0123456789 ") for name in CASES}) >= 40
