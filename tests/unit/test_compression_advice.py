"""What the page and the figures say of made-up measurements."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ophiolite.layers.paths import LayerPaths
from ophiolite.layers.store import Store
from ophiolite.plan.model import DatasetPlan, ProjectPlan, VolumePlan
from ophiolite.report.compression_advice import PRICES, READERS, advice, faults, requests, web_ms
from ophiolite.report.compression_figures import draw_factor, draw_speed, draw_tradeoff, front
from ophiolite.report.compression_paper import PAPER
from ophiolite.stages.compression_codec import COLUMNS, table_bytes
from ophiolite.stages.compression_codecs import CODECS, SECOND_STAGES, Pipeline
from ophiolite.stages.compression_page import build_compression_page
from ophiolite.stages.compression_table import compression_tables

SECONDS = {second.name: second for second in SECOND_STAGES}


def row(kind: str, codec: int, second: str, size: int, encode: float, decode: float, **more: Any) -> dict[str, Any]:
    """A made-up measurement of a million voxels; `codec` counts those of the kind."""
    data_type = "uint8" if kind == "image" else "uint64"
    pipeline = Pipeline(CODECS[kind][codec], SECONDS[second])
    raw_bytes = 1_000_000 if kind == "image" else 8_000_000
    return {
        "dataset": "d", "layer": "l", "kind": kind, "data_type": data_type, "channels": 1, "codec": pipeline.codec,
        "encoding": pipeline.encoding.name, "quality": pipeline.encoding.quality, "second_stage": second,
        "chunk": "64x64x64", "voxels": 1_000_000, "voxels_of": "layer", "chunks": 4, "bytes": size,
        "ratio": raw_bytes / size,
        "encode_mvx_s": encode, "decode_mvx_s": decode, "decode_min_mvx_s": decode * 0.9,
        "decode_max_mvx_s": decode * 1.1, "codec_encode_mvx_s": encode * 1.2, "codec_decode_mvx_s": decode * 1.2,
        "cpu_share": 1.0, "lossy": pipeline.lossy, "lossless": not pipeline.lossy, "different": 0, "max_error": 0.0,
        "psnr_db": None, "ssim": None, **pipeline.readable_by(data_type, 1), "chunks_per_shard": 1, "fault": "", **more,
    }  # fmt: skip


LOST = {"different": 9, "max_error": 12.0, "psnr_db": 40.25, "ssim": 0.9512}
IMAGE = [
    row("image", 0, "none", 1_000_000, 2000, 4000),
    row("image", 0, "zstd 3", 850_000, 350, 900),
    row("image", 1, "none", 200_000, 300, 400, **LOST),
    row("image", 3, "none", 600_000, 80, 100),
    row("image", 4, "none", 150_000, 25, 40, **LOST),
    row("image", 5, "none", 500_000, 40, 60),
]
LABELS = [
    row("segmentation", 0, "none", 8_000_000, 150, 600),
    row("segmentation", 2, "none", 140_000, 80, 230),
    row("segmentation", 2, "gzip, libdeflate 6", 40_000, 70, 200),
    row("segmentation", 2, "gzip, libdeflate 12", 39_000, 10, 200),
    row("segmentation", 2, "brotli 5", 20_000, 50, 190),
    row("segmentation", 4, "gzip, libdeflate 6", 10_000, 100, 160),
]


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the figures and the page find them."""
    frame: pd.DataFrame = pq.read_table(io.BytesIO(table_bytes(rows))).to_pandas()
    return frame


def test_a_row_here_has_the_columns_of_the_table() -> None:
    assert set(IMAGE[0]) == set(COLUMNS)


def test_advice_for_an_image() -> None:
    said = advice(table(IMAGE))
    assert "Smallest without loss: jxl lossless, 2 times smaller" in said
    assert "TensorStore cannot read it right. Of those that every reader takes: png 1, 1.67 times." in said
    assert "Smallest of the lossy ones: jxl 85, 6.67 times" in said
    assert "(largest error 12, PSNR 40.2 dB, SSIM 0.951)" in said
    assert "Of those that every reader takes: jpeg 85, 5 times." in said
    assert "Fastest to decode of those that save a tenth: raw + zstd 3, the codec alone at 1,080 MVx/s" in said
    assert "with files at 900 (1.18 times smaller); raw with files at 4,000." in said
    # png: 0.6 MB at 12.5 MB/s and 8.3 ms of decoding; jpeg: 16 ms and 2.1 ms.
    assert "Best for the web without loss, among those that every reader takes, in shards too: png 1, 56.3 ms" in said
    assert "Best for the web with loss, among those that every reader takes, in shards too: jpeg 85, 18.1 ms" in said


def test_advice_for_labels() -> None:
    said = advice(table(LABELS))
    assert "Smallest without loss: crackle + gzip, libdeflate 6, 800 times" in said
    assert "Neuroglancer and TensorStore cannot read it right" in said
    assert "every reader takes: compressed segmentation + brotli 5, 400 times (only as single files from a ser" in said
    assert "Fastest to decode of those that save a tenth: compressed segmentation, the codec alone at 276 MVx/s" in said
    # Of two that are as good as equal that which encodes faster; brotli is no choice for shards.
    assert "in shards too: compressed segmentation + gzip, libdeflate 6, 7.37 ms" in said
    assert "(compressed segmentation + brotli 5 5.99 ms, but only as single files from a server)" in said
    assert "lossy" not in said
    assert "with loss" not in said


def test_of_what_is_as_good_as_equal_the_simplest_is_advised() -> None:
    raw = row("segmentation", 0, "none", 8_000_000, 150, 600)
    gzip = row("segmentation", 2, "gzip, libdeflate 6", 40_000, 60, 200)
    zstd = row("segmentation", 2, "zstd 3", 39_900, 140, 200)
    assert "Smallest without loss: compressed segmentation + gzip, libdeflate 6" in advice(table([raw, gzip, zstd]))
    plain = row("segmentation", 2, "none", 40_500, 50, 200)
    larger = row("segmentation", 2, "none", 41_000, 50, 200)
    assert "Smallest without loss: compressed segmentation + gzip" in advice(table([raw, gzip, zstd, larger]))
    assert "Smallest without loss: compressed segmentation, " in advice(table([raw, gzip, zstd, plain]))


def test_time_on_the_web_is_that_of_line_and_decoder() -> None:
    # 125 kB over 100 Mbit/s are 10 ms.
    assert web_ms({"bytes": 125_000, "voxels": 1_000_000, "codec_decode_mvx_s": 200.0}) == pytest.approx(10 + 5)


def test_requests_are_counted_per_file_or_shard() -> None:
    assert PRICES.put_usd == pytest.approx(0.005 * 1000)
    assert PRICES.get_usd == pytest.approx(0.0004 * 1000)
    assert "cost 5.00 USD to put and 0.40 USD to get" in requests(1)
    assert "shards" not in requests(1)
    assert "shards of 4,096 chunks 0.0012 USD to put" in requests(4096)


def test_faults_and_a_busy_machine_are_said_and_not_advised() -> None:
    wrong = row("segmentation", 4, "zstd 3", 1000, 9000, 9000, fault="7 values came back as others", lossless=False)
    busy = row("segmentation", 3, "none", 90_000, 50, 60, cpu_share=0.6)
    found = table([*LABELS, wrong, busy])
    lines = faults(found)
    assert lines[0] == "FAULT crackle + zstd 3 at chunks of 64x64x64: 7 values came back as others"
    assert lines[1].startswith("1 of 8 measurements had less than 90% of a core")
    assert "crackle + zstd 3" not in advice(found)
    assert faults(table(LABELS)) == []
    assert "nothing can be advised" in advice(table([wrong]))


def test_the_front_is_what_no_other_beats() -> None:
    found = front(table(IMAGE))
    assert list(found["codec"]) == ["raw", "raw", "jpeg 85", "jxl 85"]
    assert list(front(table(LABELS))["second_stage"]) == [
        "none", "none", "gzip, libdeflate 12", "brotli 5", "gzip, libdeflate 6"
    ]  # fmt: skip


def test_the_papers_encodings_are_among_ours() -> None:
    ours = {(kind, Pipeline(e, s).codec, s.name) for kind, all_ in CODECS.items() for e in all_ for s in SECOND_STAGES}
    assert {(p.kind, p.codec, p.second_stage) for p in PAPER} <= ours


def full(kind: str) -> list[dict[str, Any]]:
    """A row for every pair that the figures expect, one of them with a fault."""
    count = {"image": (0, 1, 2, 3, 4, 5), "segmentation": (0, 2, 3, 4)}[kind]
    lost: tuple[dict[str, Any], ...] = ({}, LOST)
    rows = [
        row(kind, codec, second, 900_000 // (codec + 1) - 1000 * k, 100 - k, 200 - 9 * codec, **lost[codec == 1])
        for codec in count
        for k, second in enumerate(SECONDS)
    ]  # fmt: skip
    measured = ("bytes", "ratio", "lossless", *(name for name in rows[-1] if "mvx_s" in name))
    rows[-1] |= {**dict.fromkeys(measured), "fault": "the bytes are damaged"}
    return rows


@pytest.mark.parametrize(("kind", "ending"), [("image", "svg"), ("segmentation", "png")])
def test_figures_are_the_same_bytes_again(kind: str, ending: str, tmp_path: Path) -> None:
    found = table(full(kind))
    for draw in (draw_factor, draw_speed, draw_tradeoff):
        first, again = tmp_path / f"first.{ending}", tmp_path / f"again.{ending}"
        draw(found, first)
        draw(found, again)
        assert first.read_bytes() == again.read_bytes()
        assert first.stat().st_size > 5000


def project(names: list[str]) -> ProjectPlan:
    layers = {name: VolumePlan.model_construct(kind="image") for name in names}
    data = DatasetPlan.model_construct(layers=layers)
    return ProjectPlan.model_construct(project="p", datasets={"d": data})


def test_the_table_joins_the_layers_and_the_page_shows_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plan = project(["m", "l"])
    layers = {"l": full("image"), "m": [{**r, "layer": "m"} for r in full("segmentation")]}
    for name, rows in layers.items():
        store.write(LayerPaths("d", name).quality("compression_codec", "all"), table_bytes(rows))
        store.make_folder("figures")
        for draw, figure in ((draw_factor, "factor"), (draw_speed, "speed"), (draw_tradeoff, "tradeoff")):
            draw(table(rows), tmp_path / "figures" / f"d.{name}.compression_{figure}.svg")
    text, binary = compression_tables(plan, store)
    assert text.decode().splitlines()[0].replace('"', "").split(",") == list(COLUMNS)
    joined = pq.read_table(io.BytesIO(binary))
    assert joined.column_names == list(COLUMNS)
    assert joined["layer"].to_pylist() == ["l"] * 42 + ["m"] * 28
    store.write("tables/compression.parquet", binary)
    page = build_compression_page(plan, store)
    for words in (
        "FAULT crackle + zstd 3",
        "Smallest without loss",
        "Against Silversmith",
        "Who can read it",
        *READERS.values(),
    ):
        assert words in page
    assert page.count("<svg") == 6
    assert page == build_compression_page(plan, store)


def test_a_table_without_layers_has_its_columns(tmp_path: Path) -> None:
    text, binary = compression_tables(project([]), Store(tmp_path))
    assert pq.read_table(io.BytesIO(binary)).column_names == list(COLUMNS)
    assert len(text.decode().splitlines()) == 1


def test_what_the_workflow_writes_is_named_with_its_line() -> None:
    assert (
        "that this workflow writes: crackle + gzip, libdeflate 6, 800 times, with"
        " `pyramid: {encoding: crackle, gzip: true}`." in advice(table(LABELS))
    )
    assert "with `pyramid: {encoding: jxl, quality: 100}`." in advice(table(IMAGE))
    served = [row("segmentation", 2, "brotli 5", 20_000, 50, 190)]
    assert "every reader takes it (only as single files from a server)." in advice(table(served))
    assert "can be set to none of those" in advice(table(served))


def test_a_lossy_encoding_that_happens_to_be_exact_is_not_without_loss() -> None:
    black = row("image", 1, "none", 1000, 300, 400, lossless=True)
    said = advice(table([*IMAGE, black]))
    assert "Smallest without loss: jxl lossless" in said
    assert "Smallest of the lossy ones: jpeg 85" in said


@pytest.mark.parametrize("measured", [True, False])
def test_figures_and_page_survive_faults_everywhere(measured: bool, tmp_path: Path) -> None:
    rows = [{**r, "fault": "the bytes are damaged", "lossless": None} for r in full("image")]
    if not measured:
        rows = [{**r, **{n: None for n in r if "mvx_s" in n or n in ("bytes", "ratio", "cpu_share")}} for r in rows]
    store, found = Store(tmp_path), table(rows)
    store.make_folder("figures")
    for draw, figure in ((draw_factor, "factor"), (draw_speed, "speed"), (draw_tradeoff, "tradeoff")):
        draw(found, tmp_path / "figures" / f"d.l.compression_{figure}.svg")
    store.write("tables/compression.parquet", table_bytes(rows))
    page = build_compression_page(project(["l"]), store)
    assert page.count("<svg") == 3
    assert "nothing can be advised" in page
