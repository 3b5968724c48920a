"""The phantom slides: boxes fit, objects are what the truth says, files read back, a seed fixes all bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ophiolite.errors import ConfigError
from ophiolite.sample.slide_paint import paint, paint_owner, structure_mask
from ophiolite.sample.slide_scene import make_scene
from ophiolite.sample.slide_set import KINDS, SlideTruth, write_slides

SIZE = (800, 560)
EIGHT = np.ones((3, 3))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SlideTruth]]:
    """The smallest set on disk, and its truth."""
    folder = tmp_path_factory.mktemp("slides")
    return folder, write_slides(folder, SIZE, 1)


def test_boxes_painted_apart_fit_together() -> None:
    scene = make_scene((400, 280), 4, padded=True)
    whole = paint(scene, 0.5, (0, 0), SIZE)
    for start, shape in (((0, 0), (300, 300)), ((300, 0), (500, 300)), ((0, 300), (799, 260)), ((799, 559), (1, 1))):
        part = paint(scene, 0.5, start, shape)
        at = (slice(start[0], start[0] + shape[0]), slice(start[1], start[1] + shape[1]))
        assert (part.rgb == whole.rgb[at]).all()
        assert (part.owner == whole.owner[at]).all()
        assert (part.tissue == whole.tissue[at]).all()
    assert (whole.owner == paint_owner(scene, 0.5, SIZE)).all()


@pytest.mark.parametrize("seed", range(6))
def test_every_object_is_one_piece_inside_tissue(seed: int) -> None:
    scene = make_scene((400, 280), seed)
    painted = paint(scene, 0.5, (0, 0), SIZE)
    mask = structure_mask(scene, painted.owner)
    for structure in (1, 2):
        wanted = sum(o.structure == structure for o in scene.objects)
        assert ndimage.label(mask == structure, EIGHT)[1] == wanted >= 2
    assert painted.tissue[mask > 0].all()
    _, count = ndimage.label(mask > 0, EIGHT)
    assert count == len(scene.objects) - 1, "one pair touches"
    assert ndimage.label(mask == 0, EIGHT)[1] >= 2, "one object has a hole"


def test_areas_follow_the_outlines() -> None:
    scene = make_scene((400, 280), 2)
    pixels = np.bincount(paint_owner(scene, 0.25, (1600, 1120)).ravel()) / 16
    for place, item in enumerate(scene.objects, start=1):
        if place == 2:
            continue  # lies partly under the first
        bulge = 1 + sum(a * a for _, a, _ in item.waves) / 2
        area = np.pi * item.radius_um**2 * (bulge - item.hole**2 * bulge)
        assert pixels[place] == pytest.approx(area, rel=0.02)


def test_a_finer_slide_shows_the_same(made: tuple[Path, list[SlideTruth]]) -> None:
    scene = make_scene((400, 280), 3)
    coarse = paint(scene, 0.5, (0, 0), SIZE)
    fine = paint(scene, 0.25, (0, 0), (1600, 1120))
    mean = fine.rgb.reshape(800, 2, 560, 2, 3).mean((1, 3))
    assert np.abs(mean - coarse.rgb).mean() < 6
    assert (coarse.owner != fine.owner[::2, ::2]).mean() < 0.01


def test_padding_is_black_and_glass_is_not() -> None:
    scene = make_scene((400, 280), 1)
    assert not (paint(scene, 0.5, (0, 0), SIZE).rgb == 0).all(2).any()
    padded = paint(make_scene((400, 280), 1, padded=True), 0.5, (0, 0), SIZE)
    assert (padded.rgb == 0).all(2).mean() > 0.05
    assert not (padded.rgb == 0).all(2)[padded.tissue].any()


def test_slides_read_back_as_painted(made: tuple[Path, list[SlideTruth]]) -> None:
    import tifffile

    folder, truths = made
    for truth in truths:
        with tifffile.TiffFile(folder / "images" / f"{truth.kind.slide_id}{truth.kind.suffix}") as file:
            read = file.series[0].asarray().transpose(1, 0, 2)
            levels = [level.shape[:2] for level in file.series[0].levels]
        assert read.shape[:2] == truth.slide_px
        painted = paint(truth.scene, truth.mpp, (0, 0), truth.slide_px).rgb
        if truth.kind.suffix == ".tif":
            assert (read == painted).all()
            continue
        assert np.abs(read.astype(int) - painted).mean() < 4
        assert len(levels) == 3


def test_openslide_reads_what_it_should(made: tuple[Path, list[SlideTruth]]) -> None:
    import openslide
    import tifffile

    folder, truths = made
    for truth in truths:
        path = folder / "images" / f"{truth.kind.slide_id}{truth.kind.suffix}"
        if truth.kind.suffix == ".tif":
            with pytest.raises(openslide.OpenSlideError):
                openslide.OpenSlide(path)
            continue
        with openslide.OpenSlide(path) as slide:
            assert slide.dimensions == truth.slide_px
            ome = truth.kind.suffix == ".ome.tif"
            assert slide.level_count == (1 if ome else 3)
            if not ome:
                assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(truth.mpp)
            if truth.kind.suffix == ".svs":
                assert set(slide.associated_images) == {"thumbnail", "label", "macro"}
            read = np.array(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
        assert (read == tifffile.imread(path, key=0)).all()


def test_tiles_share_their_tables_only_in_svs(made: tuple[Path, list[SlideTruth]]) -> None:
    import tifffile

    folder, _ = made
    with tifffile.TiffFile(folder / "images/12-102.svs") as file:
        page = file.pages.first
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        assert page.jpegtables is not None
        assert page.jpegtables[:4] == b"\xff\xd8\xff\xdb"
        offset, size = page.dataoffsets[0], page.databytecounts[0]
        tile = (folder / "images/12-102.svs").read_bytes()[offset : offset + size]
    assert tile[:2] == b"\xff\xd8"
    assert tile[-2:] == b"\xff\xd9"
    assert b"\xff\xdb" not in tile[:64]
    assert b"Adobe" not in tile


def test_truth_and_masks_agree(made: tuple[Path, list[SlideTruth]]) -> None:
    from PIL import Image

    folder, truths = made
    told = json.loads((folder / "truth.json").read_text())
    sheet = (folder / "slides.tsv").read_text().splitlines()
    assert len(sheet) == len(KINDS) + 1
    for truth, line in zip(truths, sheet[1:], strict=True):
        cells = dict(zip(sheet[0].split("\t"), line.split("\t"), strict=True))
        one = told[cells["slide_id"]]
        mask = np.array(Image.open(folder / cells["mask"])).T
        assert list(mask.shape) == one["mask_px"]
        assert one["slide_px"] == [n * truth.kind.finer for n in mask.shape]
        for structure in (1, 2):
            listed = [o["area_px"] for o in one["objects"] if o["structure"] == structure]
            labels, count = ndimage.label(mask == structure, EIGHT)
            assert sorted(listed) == sorted(np.bincount(labels.ravel())[1:])
            assert count == len(listed)


def test_predictions_have_the_errors_they_claim(made: tuple[Path, list[SlideTruth]]) -> None:
    """Objects matched by brute force: every pair's intersection over union."""
    from PIL import Image

    folder, truths = made
    for truth in truths:
        mask = structure_mask(truth.scene, truth.owner)
        guess = np.array(Image.open(folder / f"predictions/{truth.kind.slide_id}.png")).T
        for structure in (1, 2):
            true, n_true = ndimage.label(mask == structure, EIGHT)
            said, n_said = ndimage.label(guess == structure, EIGHT)
            ious = np.array(
                [
                    [
                        np.sum((true == i) & (said == j)) / np.sum((true == i) | (said == j))
                        for j in range(1, n_said + 1)
                    ]
                    for i in range(1, n_true + 1)
                ]
            )
            found = int((ious >= 0.5).sum())
            expected = truth.prediction.counts[structure]
            assert expected == {"found": found, "missed": n_true - found, "false": n_said - found}
            near = (ious > 0.45) & (ious < 0.55)
            assert not near.any(), "no object is a matter of taste"


def test_the_same_seed_gives_the_same_bytes(made: tuple[Path, list[SlideTruth]], tmp_path: Path) -> None:
    folder, _ = made
    write_slides(tmp_path, SIZE, 1)

    def sums(root: Path) -> dict[str, str]:
        files = sorted(p for p in root.rglob("*") if p.is_file())
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    assert sums(tmp_path) == sums(folder)
    assert make_scene((400, 280), 8).objects != make_scene((400, 280), 9).objects


def test_sizes_and_seeds_that_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too small"):
        write_slides(tmp_path, (300, 300), 1)
    with pytest.raises(ConfigError, match="--seed"):
        write_slides(tmp_path, SIZE, -1)
