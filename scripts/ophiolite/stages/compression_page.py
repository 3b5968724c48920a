"""The page of the benchmark of encodings: advice, tables and figures per layer, and who can read what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophiolite.layers.store import Store
from ophiolite.parquet import read_frame
from ophiolite.plan.model import ProjectPlan
from ophiolite.report.compression_advice import READERS, advice, faults, number, records
from ophiolite.report.compression_paper import NAME, paper_values
from ophiolite.report.page import Figure, Section, Table, human_bytes, render_sections
from ophiolite.stages.report import with_refusals

if TYPE_CHECKING:
    import pandas as pd

FIGURES = {
    "factor": (
        "How much smaller.",
        "Bytes of the raw voxels over bytes of the encoded chunks, for each encoding and the stage behind it.",
    ),
    "speed": (
        "How fast.",
        "Whole passes, with files, in one process; whiskers span the repeats of decoding, short lines are the codec"
        " alone: its processor time, without files and without cutting the volume into chunks.",
    ),
    "tradeoff": (
        "Size against speed.",
        "Farther to the right is smaller, higher is faster to decode. The line joins those that no other beats in both;"
        " hollow ones some reader cannot read.",
    ),
}
HEADERS = (
    "encoding", "second stage", "factor", "bytes", "encode", "decode", "min–max", "codec enc.", "codec dec.",
    "PSNR (dB)", "SSIM", "max error",
)  # fmt: skip
READER_NOTE = (
    "Shards hold no second stage or gzip; brotli and zstd exist only as chunk files that a server sends with"
    " Content-Encoding, which browsers take over https (zstd: Chrome 123, Firefox 126, Safari 26 or newer). From a"
    " disk, TensorStore reads only chunk files without a second stage, CloudVolume also those named .gz, .br or .zstd."
    " Neuroglancer cuts some compresso labels of 2^32 and more to 32 bits, and no release of it has crackle."
)
WHENCE = {"layer": "", "source": ", read from its source since the layer itself is lossy"}
PAPER_NOTE = (
    f"{NAME} measured CREMI on one core of an Apple M1, through CloudVolume; another volume on another machine."
    " Of the decoding of its labels the paper gives a span over the second stages; here and in the figures stands the"
    " middle of it."
)
MEASURED_NOTE = (
    "Speeds in million voxels per second; decoding is the median of its repeats, after one pass to warm up. All"
    " chunks lie in one file, which stays in the operating system's cache; bytes are of chunks, without indices. The"
    " codec alone is its processor time."
)


def build_compression_page(plan: ProjectPlan, store: Store) -> str:
    """The page as HTML text, from the table and the figures of the project."""
    table = read_frame(store.read("tables/compression.parquet"))
    layers = [(str(d), str(name), rows) for (d, name), rows in table.groupby(["dataset", "layer"])]
    sections = [_layer_section(rows, store, dataset, name) for dataset, name, rows in layers]
    numbers = [part for dataset, name, rows in layers for part in _all_numbers(f"{dataset}/{name}", rows)]
    if sections:
        sections += [_readers_section(table), Section("numbers", "All measurements", [MEASURED_NOTE], numbers)]
    return render_sections(plan.project, "Ophiolite benchmark of encodings", [], with_refusals(plan, sections))


def _layer_section(rows: pd.DataFrame, store: Store, dataset: str, layer: str) -> Section:
    first = rows.iloc[0]
    raw = rows[(rows["encoding"] == "raw") & (rows["second_stage"] == "none")].iloc[0]
    text = [
        f"{first['voxels'] / 1e6:.1f} million voxels of {first['data_type']} from the middle of the layer,"
        f" {human_bytes(float(raw['bytes']))} raw{WHENCE[first['voxels_of']]}.",
        *faults(rows),
    ]
    tables = [_paper_table(rows)] if paper_values(first["kind"]) else []
    for chunk, of_chunk in rows.groupby("chunk", sort=False):
        voxels = str(chunk).replace("x", " × ")
        text.append(f"Chunks of {voxels} voxels. {advice(of_chunk)}")
    figures = [
        Figure(title, caption, store.local(f"figures/{dataset}.{layer}.compression_{name}.svg"))
        for name, (title, caption) in FIGURES.items()
    ]
    return Section(f"{dataset}_{layer}", f"{dataset}/{layer}", text, tables, figures)


def _all_numbers(title: str, rows: pd.DataFrame) -> list[Table]:
    return [
        Table(HEADERS, _rows(of_chunk), (0, 1), f"{title}, chunks of {str(chunk).replace('x', ' × ')} voxels")
        for chunk, of_chunk in rows.groupby("chunk", sort=False)
    ]


def _rows(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [
            _readable(row["codec"]),
            row["second_stage"],
            number(row["ratio"]),
            human_bytes(row["bytes"]) if row["bytes"] == row["bytes"] else "–",
            *(number(row[name]) for name in ("encode_mvx_s", "decode_mvx_s")),
            f"{number(row['decode_min_mvx_s'])}–{number(row['decode_max_mvx_s'])}",
            *(number(row[name]) for name in ("codec_encode_mvx_s", "codec_decode_mvx_s")),
            *_loss(row),
        ]
        for row in records(rows)
    ]


def _loss(row: dict[str, Any]) -> list[str]:
    if row["fault"]:
        return ["FAULT"] * 3
    if row["lossless"]:
        return ["equal", "equal", "0"]
    psnr, ssim = row["psnr_db"], row["ssim"]
    return [number(psnr), f"{ssim:.4f}" if ssim == ssim else "–", f"{row['max_error']:g}"]


def _paper_table(rows: pd.DataFrame) -> Table:
    kind, chunk = str(rows["kind"].iloc[0]), str(rows["chunk"].iloc[0])
    ours = {(row["codec"], row["second_stage"]): row for row in records(rows[rows["chunk"] == chunk])}
    columns = ("ratio", "encode_mvx_s", "decode_mvx_s")
    lines = []
    for key, paper in paper_values(kind).items():
        if key in ours:
            pairs = [(getattr(paper, c), ours[key][c]) for c in columns]
            lines.append([_readable(key[0]), key[1], *(number(value) for pair in pairs for value in pair)])
    headers = (
        "encoding",
        "second stage",
        *(f"{n}, {w}" for n in ("factor", "encode", "decode") for w in ("paper", "here")),
    )
    return Table(headers, lines, (0, 1), f"Against {NAME}", PAPER_NOTE)


def _readers_section(table: pd.DataFrame) -> Section:
    """Which reader takes each encoding with each kind of second stage."""
    seen = table.drop_duplicates(["kind", "data_type", "channels", "codec", "second_stage"])
    stages: dict[tuple[str, ...], list[str]] = {}
    for row in records(seen):
        voxels = f"{row['data_type']} × {row['channels']}" if row["channels"] > 1 else row["data_type"]
        key = (row["kind"], voxels, _readable(row["codec"]), *(row[reader] for reader in READERS))
        stages.setdefault(key, []).append(row["second_stage"])
    rows = [[*key[:3], "; ".join(names), *key[3:]] for key, names in stages.items()]
    merged = Table(("layer", "voxels", "encoding", "second stages", *READERS.values()), rows, range(7), "", READER_NOTE)
    return Section("readers", "Who can read it", [], [merged])


def _readable(codec: str) -> str:
    return codec.replace("_", " ")
