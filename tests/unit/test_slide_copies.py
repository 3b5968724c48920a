"""Slides made to layers: tiles copied byte for byte, everything else exact, little memory; and exported again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tensorstore as ts
import tifffile
from PIL import ImageCms

from ophiolite.config.load import parse_config
from ophiolite.errors import SourceError
from ophiolite.geometry import Box
from ophiolite.geometry.grid import indices
from ophiolite.layers.store import Store, Written
from ophiolite.layers.volume import VolumeReader
from ophiolite.plan.estimate import Speeds
from ophiolite.plan.make import make_plan
from ophiolite.plan.model import ProjectPlan, Refused, VolumePlan
from ophiolite.precomputed.encoding import ChunkEncoding, encode_chunk
from ophiolite.sources.slide import open_slide
from ophiolite.sources.slide_tiles import JpegTiles
from ophiolite.stages.job import Job
from ophiolite.stages.layer import write_layer_info
from ophiolite.stages.pyramid_block import run_pyramid_block
from ophiolite.stages.slide_ome_tiff import write_ome_tiff
from ophiolite.stages.slide_ome_zarr import write_ome_zarr
from ophiolite.stages.tile_copies import TileCopies
from slide_headers import write_header_slide
from slide_pictures import TILE_PX, picture, write_jpeg_tiff

WIDTH, HEIGHT = 5 * TILE_PX + 37, 4 * TILE_PX + 51
COPIED = 5 * 4
ALL = 6 * 5


def plan_of(folder: Path, image: Path, **slides: Any) -> ProjectPlan:
    """The plan of one slide, `a`."""
    (folder / "sheet.tsv").write_text(f"slide_id\timage\na\t{image}\n")
    config = {"project": "p", "store": str(folder / "results"), "slides": {"sheet": f"{folder}/sheet.tsv", **slides}}
    plan = make_plan(parse_config(config, "test"), Path(), Speeds())
    layer = plan.datasets["a"].layers["slide"]
    assert not isinstance(layer, Refused), layer.error
    return plan


def run_slide(plan: ProjectPlan, folder: Path) -> tuple[Store, list[Written], dict[str, int]]:
    """Make the layer `slide`; returns its store, its files, and the facts of the first round."""
    volume = plan.datasets["a"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    store = Store(folder / "results" / "p")
    write_layer_info(Job(plan, store, "layer_info", "a", "slide", "", 1))
    written, facts = [], {}
    for number, of_round in enumerate(volume.rounds):
        for block in of_round.block_names():
            job = Job(plan, store, "pyramid_blocks", "a", "slide", f"r{number}.{block}", 1)
            files, _, found = run_pyramid_block(job, number, block)
            job.finish(files, found)
            written += files
            facts = facts or found
    return store, written, facts


def layer(store: Store, mip: int = 0) -> VolumeReader:
    return VolumeReader(store, "a/layers/slide", mip)


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "tables"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProjectPlan, Store]:
    """A slide of JPEG tiles, whole files or with shared tables, made to a layer."""
    folder = tmp_path_factory.mktemp("slide")
    write_jpeg_tiff(folder / "a.tif", picture(WIDTH, HEIGHT), tables=request.param)
    plan = plan_of(folder, folder / "a.tif")
    store, _, facts = run_slide(plan, folder)
    assert facts == {
        "n_copied": COPIED,
        "n_reencoded": ALL - COPIED,
        "n_compared": facts["n_compared"],
        "n_filled_tiles": 0,
    }
    assert facts["n_compared"] >= 1
    return folder, plan, store


def test_whole_tiles_are_chunks_byte_for_byte(made: tuple[Path, ProjectPlan, Store]) -> None:
    folder, _, store = made
    tiles = open_slide(folder / "a.tif").tiles
    assert tiles is not None
    reader = layer(store)
    assert reader.scale.chunk_vx == (TILE_PX, TILE_PX, 1)
    for row in range(HEIGHT // TILE_PX):
        for column in range(WIDTH // TILE_PX):
            assert reader.encoded([(column, row, 0)])[0] == tiles.encoded(column, row)


def test_the_layer_decodes_to_the_slide(made: tuple[Path, ProjectPlan, Store]) -> None:
    """Equal where tiles were copied, near where they were encoded again; TensorStore reads the same."""
    folder, _, store = made
    slide, reader = open_slide(folder / "a.tif"), layer(store)
    pixels, wanted = reader.read(reader.box), slide.read(slide.box)
    inside = np.s_[: 5 * TILE_PX, : 4 * TILE_PX]
    np.testing.assert_array_equal(pixels[inside], wanted[inside])
    assert np.abs(pixels.astype(int) - wanted).mean() < 1
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{store.local('a/layers/slide')}/"},
    }
    np.testing.assert_array_equal(ts.open(spec).result().read().result(), pixels)


def test_coarser_mips_are_means_of_the_slide_not_of_what_was_encoded(made: tuple[Path, ProjectPlan, Store]) -> None:
    folder, plan, store = made
    slide = open_slide(folder / "a.tif")
    exact = slide.read(slide.box)[:, :, 0].astype(np.float64)
    volume = plan.datasets["a"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    for scale in volume.scales[1:]:
        step = scale.factor[0]
        sums = np.add.reduceat(np.add.reduceat(exact, range(0, WIDTH, step), 0), range(0, HEIGHT, step), 1)
        count = np.add.reduceat(
            np.add.reduceat(np.ones_like(exact), range(0, WIDTH, step), 0), range(0, HEIGHT, step), 1
        )
        mip = layer(store, scale.mip)
        means = np.round(sums / count).astype(np.uint8)[:, :, None]
        for cell in indices(mip.scale.grid.touching(mip.box)):
            chunk = np.asfortranarray(means[mip.scale.grid.cell(cell).slices()])
            assert mip.encoded([cell])[0] == encode_chunk(chunk, ChunkEncoding("jpeg", 90))


def test_a_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        _, written, facts = run_slide(plan_of(folder, tmp_path / "a.tif"), folder)
        found.append(([(file.path, file.sha256) for file in written], facts))
    assert found[0] == found[1]


def test_nothing_is_copied_where_the_config_forbids_it(tmp_path: Path) -> None:
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
    plan = plan_of(tmp_path, tmp_path / "a.tif", pyramid={"copy_tiles": False, "chunk_vx": 256})
    store, _, facts = run_slide(plan, tmp_path)
    assert facts["n_copied"] == 0
    assert layer(store).scale.chunk_vx == (256, 256, 1)


def test_a_tile_that_decodes_otherwise_than_by_openslide_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault planted: the neighbour's tile is taken."""
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
    plan = plan_of(tmp_path, tmp_path / "a.tif")
    real = JpegTiles._whole
    monkeypatch.setattr(JpegTiles, "_whole", lambda self, index: real(self, (index + 1) % ALL))
    with pytest.raises(SourceError, match=r"x 0, y 0 decodes to other pixels than by OpenSlide.*copy_tiles"):
        run_slide(plan, tmp_path)


def test_a_damaged_tile_is_filled_counted_and_not_copied(tmp_path: Path) -> None:
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        offset, count = tiff.pages.first.dataoffsets[7], tiff.pages.first.databytecounts[7]
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\x55" * count)
    store, _, facts = run_slide(plan_of(tmp_path, tmp_path / "a.tif", bad_tiles="fill"), tmp_path)
    assert (facts["n_filled_tiles"], facts["n_copied"]) == (1, COPIED - 1)
    hole = Box.of((TILE_PX, TILE_PX, 0), (TILE_PX, TILE_PX, 1))
    assert (layer(store).read(hole) == 255).all()
    (tmp_path / "b").mkdir()
    with pytest.raises(SourceError, match="E143"):
        run_slide(plan_of(tmp_path / "b", tmp_path / "a.tif"), tmp_path / "b")


def test_filled_tiles_that_begin_outside_the_scanned_region_count_once(tmp_path: Path) -> None:
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT))
    slide = open_slide(tmp_path / "a.tif")
    slide.voxel_offset_vx, slide.shape_vx = (100, 90, 0), (300, 300, 1)
    slide.filled |= {(0, 0, 0), (0, TILE_PX, 0), (0, TILE_PX, TILE_PX), (1, 0, 0)}
    counts = []
    for box in (Box((100, 90, 0), (256, 256, 1)), Box((256, 90, 0), (400, 256, 1))):
        copies = TileCopies(slide, TILE_PX)
        copies.count_filled(box)
        counts.append(copies.filled)
    assert counts == [3, 0]


def test_a_job_takes_less_than_700_mb_whatever_the_size(tmp_path: Path) -> None:
    """Of a slide of 256 million pixels, whose levels take 1 GB, in a process of its own."""
    write_header_slide(tmp_path / "a.tif", (16_000, 16_000))
    plan = plan_of(tmp_path, tmp_path / "a.tif")
    volume = plan.datasets["a"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    assert sum(len(r.blocks) for r in volume.rounds) <= 4
    store = Store(tmp_path / "results" / "p")
    store.write("plan.json", plan.to_bytes())
    for number, of_round in enumerate(volume.rounds):
        for block in of_round.block_names():
            job = ["--plan", str(store.local("plan.json")), "--dataset", "a", "--layer", "slide"]
            command = [sys.executable, "-m", "ophiolite", "pyramid_blocks", *job, "--block", f"r{number}.{block}"]
            # A child of this process would begin with this one's peak; a child of a shell begins with the shell's.
            subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *command], check=True, capture_output=True)
            timing = json.loads(store.read(f"a/timings/pyramid_blocks/slide.r{number}.{block}.json"))
            assert timing["peak_mb"] < 700


# --- exports


def export_job(plan: ProjectPlan, store: Store, rule: str) -> Job:
    return Job(plan, store, rule, "a", "slide", "", 1)


def test_ome_tiff_holds_every_mip_and_copies_whole_chunks(made: tuple[Path, ProjectPlan, Store]) -> None:
    folder, plan, store = made
    (file,), facts = write_ome_tiff(export_job(plan, store, "slide_ome_tiff"))
    path = folder / "results" / "p" / file.path
    volume = plan.datasets["a"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        series = tiff.series[0]
        assert [level.shape for level in series.levels] == [(s.size_vx[1], s.size_vx[0], 3) for s in volume.scales]
        pixels = next(e for e in _elements(tiff.ome_metadata) if e.tag.endswith("}Pixels"))
        assert (float(pixels.attrib["PhysicalSizeX"]), pixels.attrib["PhysicalSizeXUnit"]) == (0.5, "µm")
        copied = 0
        for mip, level in enumerate(series.levels):
            reader, page = layer(store, mip), level.pages[0]
            columns, rows, _ = reader.scale.grid.shape
            for index, (row, column) in enumerate(np.ndindex(rows, columns)):
                tiff.filehandle.seek(page.dataoffsets[index])
                stored = tiff.filehandle.read(page.databytecounts[index])
                copied += stored == reader.encoded([(column, row, 0)])[0]
            shown = level.asarray().transpose(1, 0, 2)
            assert np.abs(shown.astype(int) - reader.read(reader.box)[:, :, 0]).mean() < 1
        assert copied == facts["n_copied"] >= COPIED
    with openslide.OpenSlide(path) as other:
        assert other.dimensions == (WIDTH, HEIGHT)
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        inner = np.asarray(other.read_region((0, 0), 0, (4 * TILE_PX, 4 * TILE_PX)))[..., :3]
    wanted = layer(store).read(Box((0, 0, 0), (4 * TILE_PX, 4 * TILE_PX, 1)))[:, :, 0]
    np.testing.assert_array_equal(inner.transpose(1, 0, 2), wanted)


def _elements(xml: str) -> Any:
    from xml.etree import ElementTree

    return ElementTree.fromstring(xml).iter()


def test_an_exported_slide_is_a_slide_again(made: tuple[Path, ProjectPlan, Store]) -> None:
    """Our own reader takes the export, and copies its tiles once more."""
    folder, plan, store = made
    (file,), _ = write_ome_tiff(export_job(plan, store, "slide_ome_tiff"))
    slide = open_slide(folder / "results" / "p" / file.path)
    assert (slide.mpp, slide.shape_vx) == ((0.5, 0.5), (WIDTH, HEIGHT, 1))
    assert len(slide.levels) == len(plan.datasets["a"].layers["slide"].scales)  # type: ignore[union-attr]
    assert slide.tiles is not None
    assert slide.tiles.encoded(0, 0) == layer(store).encoded([(0, 0, 0)])[0]


def test_ome_tiff_carries_the_colour_profile(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_jpeg_tiff(tmp_path / "a.tif", picture(WIDTH, HEIGHT), iccprofile=profile)
    plan = plan_of(tmp_path, tmp_path / "a.tif")
    store, _, _ = run_slide(plan, tmp_path)
    (file,), _ = write_ome_tiff(export_job(plan, store, "slide_ome_tiff"))
    assert open_slide(tmp_path / "results" / "p" / file.path).icc == profile


def test_ome_zarr_holds_every_mip_with_its_scale(made: tuple[Path, ProjectPlan, Store]) -> None:
    folder, plan, store = made
    written, _ = write_ome_zarr(export_job(plan, store, "slide_ome_zarr"))
    root = folder / "results" / "p" / "a" / "exports" / "slide" / "a.ome.zarr"
    ome = json.loads((root / "zarr.json").read_text())["attributes"]["ome"]
    (image,) = ome["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == list("tczyx")
    assert {str(root / "zarr.json")} < {str(folder / "results" / "p" / file.path) for file in written}
    for mip, data in enumerate(image["datasets"]):
        scale, translation = data["coordinateTransformations"]
        step = 0.5 * 2**mip
        assert scale["scale"] == [1.0, 1.0, 4.0, step, step]
        # The centre of the first pixel: of those of mip 0 below it, the mean.
        assert translation["translation"] == [0.0, 0.0, 0.0, (step - 0.5) / 2, (step - 0.5) / 2]
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{root}/{data['path']}/"}}
        reader = layer(store, mip)
        wanted = reader.read(reader.box).transpose(3, 2, 1, 0)[None]
        np.testing.assert_array_equal(ts.open(spec).result().read().result(), wanted)


def test_the_plan_counts_what_exports_write(made: tuple[Path, ProjectPlan, Store]) -> None:
    folder, _, store = made
    plan = plan_of(folder, folder / "a.tif", exports=["ome_tiff", "ome_zarr"])
    volume = plan.datasets["a"].layers["slide"]
    assert isinstance(volume, VolumePlan)
    costs = {cost.rule: cost for cost in volume.costs}
    assert {"slide_ome_tiff", "slide_ome_zarr"} < set(volume.digests)
    for write in (write_ome_tiff, write_ome_zarr):
        rule = write.__name__.replace("write", "slide")
        assert costs[rule].files == len(write(export_job(plan, store, rule))[0])


def test_exports_are_the_same_bytes_again(made: tuple[Path, ProjectPlan, Store]) -> None:
    _, plan, store = made
    for write in (write_ome_tiff, write_ome_zarr):
        first, second = (write(export_job(plan, store, write.__name__.replace("write", "slide")))[0] for _ in range(2))
        assert [(f.path, f.sha256) for f in first] == [(f.path, f.sha256) for f in second]
