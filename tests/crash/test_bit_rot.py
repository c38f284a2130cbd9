"""A bit of the store changes, anywhere: `hive verify` names the file, and what it says to do puts it right."""

from __future__ import annotations

import random
from pathlib import Path

from crashing import Figure
from hive_cli import HiveCli


def test_flipped_bits(hive: HiveCli, whole: bool, chance: random.Random, figure: Figure) -> None:
    """Each is found, and put right before the next: from a copy where there is one, else by building anew."""
    flips = 500 if whole else 40
    hive.ok("install", "counter", "trivial")
    service = hive.service()
    digests = {package.name: package.artifact for package in service.packages()}
    folders = {name: service.store.path(digest) for name, digest in digests.items()}
    files = {path: name for name, folder in folders.items() for path in folder.rglob("*") if path.is_file()}
    built = 0
    for number in range(flips):
        if number % 20 == 0:
            hive.ok("clean", "--older-than", "0")  # the copies that were put aside as damaged
        path = chance.choice(sorted(files))
        before = flip(path, chance)
        found = {package.name: [each.file for each in damage] for package, damage in service.verify([]) if damage}
        assert found == {files[path]: [path.relative_to(folders[files[path]]).as_posix()]}
        [repaired] = service.repair([])
        if repaired.lacking:
            hive.ok("repair")
            built += 1
        assert path.read_bytes() == before
        assert not any(damage for _, damage in service.verify([]))
    assert {package.name: package.artifact for package in hive.service().packages()} == digests
    figure(f"{flips} bits flipped in the store", f"{flips} found, {flips} repaired, {built} of them by building anew")


def test_what_verify_says_puts_it_right(hive: HiveCli, chance: random.Random) -> None:
    hive.ok("install", "counter", "trivial")
    service = hive.service()
    before = {package.name: package.artifact for package in service.packages()}
    for digest in before.values():
        flip(chance.choice(sorted(path for path in service.store.path(digest).rglob("*") if path.is_file())), chance)
    damaged = hive("verify")
    assert damaged.code == 7, damaged
    [advice] = [line for line in damaged.err.splitlines() if "try: hive " in line]
    hive.ok(*advice.partition("try: hive ")[2].split())
    hive.ok("verify")
    assert {package.name: package.artifact for package in hive.service().packages()} == before


def flip(path: Path, chance: random.Random) -> bytes:
    """One bit of it; what it was before."""
    before = path.read_bytes()
    content = bytearray(before)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    return before
