"""`verify` finds every damaged file and lost receipt of a finished project; `heal` makes exactly those again."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from workspace import Workspace, checksums, files_below

LOST = ("neurons/skeleton_done.json", "neurons/skeleton_index.json", "em/layer_info.json")

# Dated, and written with `info`.
PROVENANCE = {"d/layers/em/provenance", "d/layers/neurons/provenance"}


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(bytes(data))


def _flip_facts(file: Path) -> None:
    """Another digit in the facts of a receipt, which is as good JSON as before."""
    text = file.read_text()
    place = max(i for i in range(text.index('\n "facts"'), text.index('\n "files"')) if text[i].isdigit())
    file.write_text(text[:place] + str(9 - int(text[place])) + text[place + 1 :])


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _delete(file: Path) -> None:
    file.unlink()


# A file of every kind that a receipt names, and what is done to it.
DAMAGE = {
    "layers/em/*/0.shard": _flip,
    "layers/neurons/[0-9]*/0.shard": _truncate,
    "layers/neurons/info": _delete,
    "layers/neurons/mesh/info": _flip,
    "layers/neurons/mesh/*.shard": _flip,
    "layers/neurons/skeletons/*.shard": _flip,
    "layers/neurons/segment_properties/info": _truncate,
    "layers/synapses/by_id/*.shard": _flip,
    "layers/synapses/info": _delete,
    "objects/neurons/0.parquet": _flip,
    "work/neurons/label_stats/0.npy": _flip,
    "work/neurons/statistics/*.npy": _truncate,
    "work/neurons/mesh_fragments/*.frags": _flip,
    "work/neurons/skeleton_fragments/*.frags": _delete,
    "work/neurons/mesh_index.npy": _flip,
    "work/neurons/skeleton_measures/*.parquet": _flip,
}
WORDS = {_flip: "altered", _truncate: "wrong size", _delete: "missing"}
ALTERED = {
    "neurons/mesh_fragments/*.json": _flip_facts,
    "neurons/mesh_done.json": _flip_facts,
    "em/layer_done.json": _truncate,
}


def _times(project: Path) -> dict[str, int]:
    kept = ("layers", "objects", "receipts", "work")
    return {
        f.relative_to(project).as_posix(): f.stat().st_mtime_ns
        for folder in kept
        for f in files_below(project / "d" / folder)
    }


def _faults(workspace: Workspace) -> dict[str, dict[str, str]]:
    with open(workspace.project / "tables" / "verify.csv", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture
def sound(workspace: Workspace) -> Workspace:
    done = workspace.snakemake("verify")
    assert done.code == 0, done.text
    assert " 0 faults" in done.text
    assert _faults(workspace) == {}
    return workspace


def test_all_damage_is_found_and_healed_and_the_rest_is_untouched(sound: Workspace) -> None:
    before, times = checksums(sound.project), _times(sound.project)
    damaged: dict[str, str] = {}
    for pattern, harm in DAMAGE.items():
        # The largest: a shard without entries is all index, in which a flipped bit may say nothing.
        file = max((sound.project / "d").glob(pattern), key=lambda f: (f.stat().st_size, f.name))
        harm(file)
        damaged[file.relative_to(sound.project).as_posix()] = WORDS[harm]
    for name in LOST:
        (sound.project / "d" / "receipts" / name).unlink()
        damaged[f"d/receipts/{name}"] = "receipt lost"
    for pattern, harm in ALTERED.items():
        # The smallest: its file is not the damaged one, which could not be compared without it.
        file = min((sound.project / "d" / "receipts").glob(pattern), key=lambda f: (f.stat().st_size, f.name))
        harm(file)
        damaged[file.relative_to(sound.project).as_posix()] = "receipt unreadable"

    found = sound.snakemake("verify")
    assert found.code == 1
    assert "Traceback" not in found.text, found.text
    faults = _faults(sound)
    assert {path: row["fault"] for path, row in faults.items()} == damaged
    by_kind = {path.split("/")[-2]: row["detail"] for path, row in faults.items() if path.endswith(".shard")}
    assert any(row["detail"].startswith("chunk ") for path, row in faults.items() if "/layers/em/" in path)
    assert by_kind["skeletons"].startswith("label ")
    assert "Run `snakemake heal`" in found.text

    healed = sound.snakemake("heal")
    assert healed.code == 0, healed.text
    assert f"Healed: {len(DAMAGE)} files and {len(LOST) + len(ALTERED)} receipts" in healed.text
    assert checksums(sound.project) == before
    now = _times(sound.project)
    assert {path for path in times if now[path] != times[path]} == set(damaged) | PROVENANCE
    assert not list((sound.project / "d").glob("healing/*/*"))
    assert sound.jobs() == {}
    again = sound.snakemake("verify")
    assert again.code == 0, again.text


def test_what_was_cleaned_is_no_damage_and_is_made_again_where_a_damaged_job_needs_it(sound: Workspace) -> None:
    assert sound.snakemake("clean_work").code == 0
    clean = sound.snakemake("verify")
    assert clean.code == 0, clean.text
    shard = max((sound.project / "d" / "layers" / "neurons" / "mesh").glob("*.shard"), key=lambda f: f.stat().st_size)
    whole = shard.read_bytes()
    _truncate(shard)
    assert sound.snakemake("verify").code == 1
    assert {row["fault"] for row in _faults(sound).values()} == {"wrong size", "needed again"}
    healed = sound.snakemake("heal")
    assert healed.code == 0, healed.text
    assert shard.read_bytes() == whole
    assert sound.jobs() == {}


def test_nothing_to_heal_is_said(sound: Workspace) -> None:
    done = sound.snakemake("heal")
    assert done.code == 0, done.text
    assert "Nothing is known to be damaged" in done.text
