"""`verify` finds every damaged file and lost receipt of a finished project; `heal` makes exactly those again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from damage import (
    HARMS,
    damage,
    delete,
    faults_of,
    flip_facts,
    kinds_of,
    names_one_entry,
    times_of,
    truncate,
)
from workspace import Workspace, checksums

# Every kind of file that the receipts of a finished project name.
KINDS = (
    "branches/neurons/*.parquet",
    "layers/em/*/*.shard",
    "layers/em/info",
    "layers/neurons/*/*.shard",
    "layers/neurons/info",
    "layers/neurons/mesh/*.shard",
    "layers/neurons/mesh/info",
    "layers/neurons/segment_properties/info",
    "layers/neurons/skeletons/*.shard",
    "layers/neurons/skeletons/info",
    "layers/synapses/by_id/*.shard",
    "layers/synapses/info",
    "layers/synapses/rel_post_segment/*.shard",
    "layers/synapses/rel_pre_segment/*.shard",
    "layers/synapses/spatial*/*.shard",
    "objects/neurons/*.parquet",
    "swc/neurons/*.swc",
    "work/em/carry/r*/*.npy",
    "work/neurons/carry/r*/*.npy",
    "work/neurons/label_stats/*.npy",
    "work/neurons/mesh_fragments/*.frags",
    "work/neurons/mesh_index.npy",
    "work/neurons/mesh_measures/*.parquet",
    "work/neurons/skeleton_fragments/*.frags",
    "work/neurons/skeleton_index.npy",
    "work/neurons/skeleton_measures/*.parquet",
    "work/neurons/statistics/*.npy",
)
# Without it nobody can tell what the keys of the layer's shards are.
INFO = "layers/synapses/info"
# What is done to receipts; of those that name files, to one whose files are sound: without it they are not compared.
RECEIPTS = {
    "neurons/skeleton_done.json": delete,
    "neurons/skeleton_fragments/*.json": delete,
    "em/pyramid_blocks/r0.*.json": delete,
    "neurons/mesh_fragments/*.json": flip_facts,
    "neurons/mesh_done.json": flip_facts,
    "em/layer_done.json": truncate,
}


def _damage_receipts(project: Path, damaged: Iterable[str]) -> dict[str, str]:
    """Harm receipts that name none of the damaged files."""
    done = {}
    for pattern, harm in RECEIPTS.items():
        for receipt in sorted((project / "d" / "receipts").glob(pattern)):
            if not {file["path"] for file in json.loads(receipt.read_text())["files"]} & set(damaged):
                harm(receipt)
                fault = "receipt lost" if harm is delete else "receipt unreadable"
                done[receipt.relative_to(project).as_posix()] = fault
                break
    assert len(done) == len(RECEIPTS)
    return done


@pytest.fixture
def sound(workspace: Workspace) -> Workspace:
    done = workspace.snakemake("verify")
    assert done.code == 0, done.text
    assert " 0 faults" in done.text
    assert faults_of(workspace.project) == {}
    return workspace


def test_the_kinds_are_those_that_receipts_name(finished: Workspace) -> None:
    assert tuple(sorted(kinds_of(finished.project, "d"))) == KINDS


@pytest.mark.parametrize("turn", range(len(HARMS)))
def test_each_kind_is_found_damaged_in_each_way(workspace: Workspace, turn: int) -> None:
    verify = ("verify", "--plan", str(workspace.project / "plan.json"), "--threads", "2")
    damaged = damage(workspace.project, "d", turn, but=[INFO])
    assert workspace.command(*verify).code == 1
    faults = faults_of(workspace.project)
    assert {path: row["fault"] for path, row in faults.items()} == damaged
    flipped = {p: row["detail"] for p, row in faults.items() if row["fault"] == "altered" and p.endswith(".shard")}
    assert flipped
    assert [(path, detail) for path, detail in flipped.items() if not names_one_entry(path, detail)] == []
    harm = list(HARMS)[(KINDS.index(INFO) + turn) % len(HARMS)]
    harm(workspace.project / "d" / INFO)
    assert workspace.command(*verify).code == 1
    rows = faults_of(workspace.project).items()
    assert {path: row["fault"] for path, row in rows} == {**damaged, f"d/{INFO}": HARMS[harm]}


def test_all_damage_is_found_and_healed_and_the_rest_is_untouched(sound: Workspace) -> None:
    before, times = checksums(sound.project), times_of(sound.project, "d")
    damaged = damage(sound.project, "d", 0)
    damaged |= _damage_receipts(sound.project, damaged)

    found = sound.snakemake("verify")
    assert found.code == 1
    assert "Traceback" not in found.text, found.text
    assert {path: row["fault"] for path, row in faults_of(sound.project).items()} == damaged
    assert "Run `snakemake heal`" in found.text

    healed = sound.snakemake("heal")
    assert healed.code == 0, healed.text
    assert f"Healed: {len(KINDS)} files and {len(RECEIPTS)} receipts" in healed.text
    assert checksums(sound.project) == before
    now = times_of(sound.project, "d")
    assert {path for path in times if now[path] != times[path]} == set(damaged)
    assert set(now) == set(times)
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
    truncate(shard)
    assert sound.snakemake("verify").code == 1
    assert {row["fault"] for row in faults_of(sound.project).values()} == {"wrong size", "needed again"}
    healed = sound.snakemake("heal")
    assert healed.code == 0, healed.text
    assert shard.read_bytes() == whole
    assert sound.jobs() == {}


def test_nothing_to_heal_is_said(sound: Workspace) -> None:
    done = sound.snakemake("heal")
    assert done.code == 0, done.text
    assert "Nothing is known to be damaged" in done.text
