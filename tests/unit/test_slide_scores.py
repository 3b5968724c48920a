"""Scores of the phantom's predictions: the errors that were planted, patches put together, the challenge's rules."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ophiolite.errors import ConfigError, SourceError
from ophiolite.layers.store import Store
from ophiolite.sample.slide_paint import structure_mask
from ophiolite.sample.slide_set import SlideTruth, write_mask, write_slides
from ophiolite.sources.mask import MaskReading, open_mask
from ophiolite.stages import slide_score_planes
from ophiolite.stages.slide_patches import patch_options
from ophiolite.stages.slide_score_panels import AGREEMENT, agreement, worst_items
from ophiolite.stages.slide_score_planes import mask_planes
from ophiolite.stages.slide_score_tables import write_score_tables
from ophiolite.stages.slide_scores import open_prediction, row_scores, write_scores
from ophiolite.stages.slide_tables import batch_names
from scored_slides import cut_predictions, kpis_slide, plan_of, read, slides_of, slow_dice

SIZE = (800, 560)
EIGHT = np.ones((3, 3))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SlideTruth]]:
    folder = tmp_path_factory.mktemp("slides")
    return folder, write_slides(folder, SIZE, 1)


def test_the_planted_errors_are_counted(made: tuple[Path, list[SlideTruth]], tmp_path: Path) -> None:
    folder, truths = made
    told = json.loads((folder / "truth.json").read_text())
    plan, store = plan_of(folder, tmp_path, folder / "predictions"), Store(tmp_path / "p")
    for batch in batch_names(slides_of(plan)):
        write_scores(plan, slides_of(plan), store, batch)
    write_score_tables(plan, slides_of(plan), store)
    rows = read(store, "slides/tables/scores.parquet")
    assert len(rows) == 2 * len(truths)
    for row in rows:
        expected = told[row["slide_id"]]["expected_scores"][row["structure"]]
        assert {key: row[key] for key in expected} == expected
        truth = next(t for t in truths if t.kind.slide_id == row["slide_id"])
        mask, guess = structure_mask(truth.scene, truth.owner), truth.prediction.mask
        own, said = mask == row["value"], guess == row["value"]
        assert row["dice"] == pytest.approx(slow_dice(own, said))
        assert (row["truth_px"], row["predicted_px"]) == (own.sum(), said.sum())
        assert row["pixel_um"] == pytest.approx(0.5)
        assert row["f1"] == pytest.approx(
            2 * expected["found"] / (2 * expected["found"] + expected["missed"] + expected["false"])
        )
    summary = read(store, "slides/tables/score_summary.parquet")
    for line in summary:
        mine = [r for r in rows if line["group"] in ("all", r["group"]) and r["structure"] == line["structure"]]
        if line["metric"] in ("dice", "pq"):
            assert line["value"] == pytest.approx(np.mean([r[line["metric"]] for r in mine]))
            assert line["low"] <= line["value"] <= line["high"]
        if line["metric"] == "pooled f1":
            found, wrong = (sum(r[k] for r in mine for k in keys) for keys in (("found",), ("missed", "false")))
            assert line["value"] == pytest.approx(2 * found / (2 * found + wrong))
    assert {line["group"] for line in summary} == {"56Nx", "normal", "all"}


def test_strips_do_not_matter(
    made: tuple[Path, list[SlideTruth]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = made
    plan, store = plan_of(folder, tmp_path, folder / "predictions"), Store(tmp_path / "p")
    row = next(r for r in slides_of(plan).rows if r.slide_id == "12-102")
    whole = row_scores(plan, store, row)
    monkeypatch.setattr(slide_score_planes, "STRIP_PX", 13 * SIZE[0])
    assert row_scores(plan, store, row) == whole


def test_a_coarser_prediction_is_compared_on_common_pixels(made: tuple[Path, list[SlideTruth]], tmp_path: Path) -> None:
    """The 40x slide has a mask at half its size; a prediction at a quarter covers the same pixels four by four."""
    folder, truths = made
    truth = truths[1]
    guess = truth.prediction.mask[::2, ::2]
    write_mask(guess, tmp_path / "in" / f"{truth.kind.slide_id}.tiff")
    plan = plan_of(folder, tmp_path, tmp_path / "in", scores={"min_object_px": 500})
    row = next(r for r in slides_of(plan).rows if r.slide_id == truth.kind.slide_id)
    found = row_scores(plan, Store(tmp_path / "p"), row)
    fine = guess.repeat(2, 0).repeat(2, 1)
    mask = structure_mask(truth.scene, truth.owner)
    for scores in found:
        labels, _ = ndimage.label(guess == scores["value"], EIGHT)
        sizes = np.bincount(labels.ravel())
        kept = np.isin(labels, np.flatnonzero(sizes >= 500)[1:]).repeat(2, 0).repeat(2, 1)
        assert scores["predicted_objects"] == (sizes[1:] >= 500).sum()
        assert scores["dice"] == pytest.approx(slow_dice(mask == scores["value"], kept & (fine > 0)))
    assert sum(s["predicted_objects"] for s in found) < len(truth.scene.objects) + 1, "the invented one is left out"


def test_a_slide_without_a_prediction_is_named_and_none_at_all_fails(
    made: tuple[Path, list[SlideTruth]], tmp_path: Path
) -> None:
    folder, truths = made
    (tmp_path / "in").mkdir()
    plan, store = plan_of(folder, tmp_path, tmp_path / "in"), Store(tmp_path / "p")

    def score() -> None:
        for batch in batch_names(slides_of(plan)):
            write_scores(plan, slides_of(plan), store, batch)
        write_score_tables(plan, slides_of(plan), store)

    with pytest.raises(SourceError, match="prediction of none of the slides"):
        score()
    write_mask(truths[0].prediction.mask, tmp_path / "in/12-101.png")
    score()
    rows = read(store, "slides/tables/scores.parquet")
    assert {r["slide_id"] for r in rows if r["dice"] is None} == {t.kind.slide_id for t in truths[1:]}
    summary = read(store, "slides/tables/score_summary.parquet")
    everything = next(s for s in summary if (s["group"], s["metric"], s["structure"]) == ("all", "dice", "glomerulus"))
    assert (everything["items"], everything["cases"], everything["unscored"]) == (1, 1, 5)
    assert everything["low"] is None
    assert dict(worst_items(rows, 5)) == {"12-101": pytest.approx(np.mean([r["dice"] for r in rows[:2]]))}


def test_predictions_that_cannot_be_compared(made: tuple[Path, list[SlideTruth]], tmp_path: Path) -> None:
    folder, truths = made
    (tmp_path / "in").mkdir()
    plan, store = plan_of(folder, tmp_path, tmp_path / "in"), Store(tmp_path / "p")
    row = slides_of(plan).rows[0]
    write_mask(truths[0].prediction.mask[:-9], tmp_path / "in/12-101.png")
    with pytest.raises(SourceError, match="E142"):
        row_scores(plan, store, row)
    write_mask(np.full(SIZE, 7, np.uint8), tmp_path / "in/12-101.png")
    with pytest.raises(SourceError, match="structures"):
        row_scores(plan, store, row)
    absent = plan_of(folder, tmp_path, tmp_path / "absent")
    with pytest.raises(SourceError, match="folder of predictions is not there"):
        row_scores(absent, store, row)


@pytest.mark.parametrize("stitch", ["vote", "mean", "gaussian"])
@pytest.mark.parametrize("slide_id", ["12-101", "12-102"])
def test_patches_put_together_score_as_the_slide(
    made: tuple[Path, list[SlideTruth]], tmp_path: Path, stitch: str, slide_id: str
) -> None:
    """A slide at 20x and one at 40x, whose patches are cut at 20x: the same scores as of the whole mask."""
    folder, truths = made
    truth = next(t for t in truths if t.kind.slide_id == slide_id)
    whole = plan_of(folder, tmp_path, folder / "predictions")
    row = next(r for r in slides_of(whole).rows if r.slide_id == slide_id)
    store = Store(tmp_path / "p")
    expected = row_scores(whole, store, row)
    patches = {"size_px": 256, "stride_px": 128, "mpp": 0.5, "edge": "pad"}
    plan = plan_of(folder, tmp_path, tmp_path / "in", scores={"stitch": stitch}, patches=patches)
    frame, paths = cut_predictions(plan, store, row, truth.prediction.mask, tmp_path / "in")
    assert frame.size_px == SIZE
    found = row_scores(plan, store, row)
    ignored = ("prediction", "nonbinary_px")
    assert [row["nonbinary_px"] for row in expected] == [0] * len(expected)
    assert [row["nonbinary_px"] for row in found] == [None] * len(found), "patches overlap: it is not counted"
    assert [{k: v for k, v in r.items() if k not in ignored} for r in found] == [
        {k: v for k, v in r.items() if k not in ignored} for r in expected
    ]
    paths[3].unlink()
    with pytest.raises(SourceError, match="1 of"):
        row_scores(plan, store, row)


def test_probabilities_are_averaged_before_they_are_compared(
    made: tuple[Path, list[SlideTruth]], tmp_path: Path
) -> None:
    folder, truths = made
    sheet = (folder / "slides.tsv").read_text().splitlines()
    ones = tmp_path / "ones"
    write_mask((structure_mask(truths[0].scene, truths[0].owner) > 0).astype(np.uint8) * 255, ones / "mask.png")
    image = folder / "images/12-101.tiff"
    (ones / "slides.tsv").write_text(f"{sheet[0]}\n12-101\t12-101\t56Nx\t{image}\tmask.png\t\n")
    patches = {"size_px": 256, "stride_px": 256, "edge": "pad"}
    for value, threshold, predicted in ((128, 0.5, True), (127, 0.5, False), (127, 0.4, True)):
        mask = {"binarise": 127, "structures": {1: "any"}}
        scores = {"stitch": "gaussian", "threshold": threshold}
        plan = plan_of(ones, tmp_path, tmp_path / "in", mask=mask, scores=scores, patches=patches)
        store, row = Store(tmp_path / "p"), slides_of(plan).rows[0]
        cut_predictions(plan, store, row, np.full(SIZE, value, np.uint8), tmp_path / "in")
        (found,) = row_scores(plan, store, row)
        assert found["predicted_px"] == (SIZE[0] * SIZE[1] if predicted else 0)


def test_slides_by_the_conventions_of_the_challenge(tmp_path: Path) -> None:
    truth, predicted = kpis_slide(tmp_path)
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "in", mask=one, scores={"compat": "kpis2024"})
    (found,) = row_scores(plan, Store(tmp_path / "p"), slides_of(plan).rows[0])
    halves = [ndimage.zoom(mask, 0.5, order=1) == 255 for mask in (truth, predicted)]
    labels, _ = ndimage.label(halves[1], EIGHT)
    large = np.isin(labels, np.flatnonzero(np.bincount(labels.ravel()) >= 20_000)[1:])
    assert found["dice"] == pytest.approx(slow_dice(halves[0], large))
    assert (found["truth_objects"], found["predicted_objects"]) == (2, 2)
    assert (found["found"], found["missed"], found["false"]) == (1, 1, 1)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["nonbinary_px"] == 0
    plain = plan_of(tmp_path, tmp_path, tmp_path / "in", mask=one)
    (ours,) = row_scores(plain, Store(tmp_path / "p"), slides_of(plain).rows[0])
    assert (ours["truth_objects"], ours["predicted_objects"]) == (3, 3), "all pixels above 127, small objects too"
    assert ours["dice"] == pytest.approx(slow_dice(truth > 127, predicted > 127))


@pytest.mark.parametrize("compat", ["none", "kpis2024"])
def test_grey_pixels_of_a_lossy_prediction_are_counted(tmp_path: Path, compat: str) -> None:
    _, predicted = kpis_slide(tmp_path)
    (tmp_path / "in/s.png").unlink()
    Image.fromarray(predicted.T).save(tmp_path / "in/s.jpg", quality=60)
    stored = np.asarray(Image.open(tmp_path / "in/s.jpg"))
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "in", mask=one, scores={"compat": compat})
    (found,) = row_scores(plan, Store(tmp_path / "p"), slides_of(plan).rows[0])
    assert found["nonbinary_px"] == np.count_nonzero((stored != 0) & (stored != 255)) > 0


def test_one_vote_is_not_enough_for_the_challenge(tmp_path: Path) -> None:
    """Patches that overlap by half: pixels at the slide's corner lie in one patch alone and can never be foreground."""
    truth, _ = kpis_slide(tmp_path)
    half = np.full((700, 700), 255, np.uint8)
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    patches = {"size_px": 280, "stride_px": 140, "mpp": 0.5}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "parts", mask=one, scores={"compat": "kpis2024"}, patches=patches)
    store, row = Store(tmp_path / "p"), slides_of(plan).rows[0]
    frame, _ = cut_predictions(plan, store, row, half, tmp_path / "parts")
    votes = np.zeros((700, 700), int)
    for patch in frame.patches(patch_options(slides_of(plan))):
        votes[patch.x : patch.x + 280, patch.y : patch.y + 280] += 1
    (found,) = row_scores(plan, store, row)
    assert found["predicted_px"] == (votes >= 2).sum() < 700 * 700
    assert found["dice"] == pytest.approx(slow_dice(ndimage.zoom(truth, 0.5, order=1) == 255, votes >= 2))
    other = plan_of(
        tmp_path, tmp_path, tmp_path / "parts", mask=one, scores={"compat": "kpis2024"}, patches={**patches, "mpp": 1}
    )
    cut_predictions(other, store, row, half[:350, :350], tmp_path / "parts")
    with pytest.raises(SourceError, match="20x"):
        row_scores(other, store, row)


def test_patches_by_the_conventions_of_the_challenge(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth, nothing = rng.integers(0, 256, (64, 64)).astype(np.uint8), np.zeros((64, 64), np.uint8)
    header = "slide_id\tcase_id\tgroup\timage\tmask\tmpp\tkind"
    lines = [header]
    for name, mask in (("a", truth), ("b", nothing)):
        write_mask(mask, tmp_path / f"{name}_mask.png")
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / f"{name}_img.png")
        write_mask((truth > 90).astype(np.uint8) * 255, tmp_path / "in" / f"{name}_mask.png")
        lines.append(f"{name}\tc\tg\t{name}_img.png\t{name}_mask.png\t\tpatch")
    (tmp_path / "slides.tsv").write_text("\n".join(lines) + "\n")
    one = {"binarise": 127, "structures": {1: "glomerulus"}}
    plan = plan_of(tmp_path, tmp_path, tmp_path / "in", mask=one, scores={"compat": "kpis2024"})
    store = Store(tmp_path / "p")
    rows = [scores for row in slides_of(plan).rows for scores in row_scores(plan, store, row)]
    soft = (truth - float(truth.min())) / (float(truth.max()) - truth.min())
    assert rows[0]["dice"] == pytest.approx(2 * soft[truth > 90].sum() / (soft.sum() + (truth > 90).sum()))
    assert math.isnan(rows[1]["dice"]), "a patch without truth is left out"
    for batch in batch_names(slides_of(plan)):
        write_scores(plan, slides_of(plan), store, batch)
    write_score_tables(plan, slides_of(plan), store)
    mean = next(r for r in read(store, "slides/tables/score_summary.parquet") if r["metric"] == "dice")
    assert (mean["value"], mean["items"], mean["unscored"]) == (pytest.approx(rows[0]["dice"]), 1, 0)


def test_the_challenge_knows_one_structure(made: tuple[Path, list[SlideTruth]], tmp_path: Path) -> None:
    folder, _ = made
    with pytest.raises(ConfigError, match="kpis2024"):
        plan_of(folder, tmp_path, folder / "predictions", scores={"compat": "kpis2024"})


def test_agreement_of_a_picture_covers_what_was_counted(made: tuple[Path, list[SlideTruth]], tmp_path: Path) -> None:
    folder, truths = made
    plan = plan_of(folder, tmp_path, folder / "predictions")
    opened = open_prediction(plan, Store(tmp_path / "p"), slides_of(plan).rows[0])
    assert opened is not None
    parts = agreement(opened.planes, SIZE)
    mask, guess = structure_mask(truths[0].scene, truths[0].owner), truths[0].prediction.mask
    assert list(parts) == list(AGREEMENT)
    assert (parts[1] == ((mask > 0) & (mask == guess))).all()
    assert (parts[2] == ((mask > 0) & (mask != guess))).all()
    assert (parts[3] == ((mask == 0) & (guess > 0))).all()
    small = agreement(opened.planes, (100, 70))
    assert small[2].mean() == pytest.approx(parts[2].mean(), abs=2e-3)


def test_masks_of_a_cropped_slide_are_read_where_they_lie(tmp_path: Path) -> None:
    """A mask that begins at (40, 20) of a slide, and a prediction of it at half the size: both planes begin there."""
    rng = np.random.default_rng(3)
    mask = rng.integers(0, 2, (60, 40)).astype(np.uint8) * 255
    write_mask(mask, tmp_path / "m.png")
    write_mask(mask[::2, ::2], tmp_path / "p.png")
    reading = MaskReading((60, 40), (500.0, 500.0, 4000.0), 127, {1: "any"}, slide_start_px=(40, 20))
    planes = mask_planes(open_mask(tmp_path / "m.png", reading), open_mask(tmp_path / "p.png", reading), (60, 40))
    assert (planes.truth.rows(3, 31) == (mask > 0)[:, 3:31]).all()
    fine = (mask > 0)[::2, ::2].repeat(2, 0).repeat(2, 1)
    assert (planes.predicted.rows(3, 31) == fine[:, 3:31]).all()
