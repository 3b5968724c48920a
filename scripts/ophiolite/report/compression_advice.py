"""One paragraph of advice for a layer, from what its encodings were measured to cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

READERS = {"cloudvolume": "CloudVolume", "neuroglancer": "Neuroglancer", "tensorstore": "TensorStore"}
NOWHERE, ANYWHERE, SERVED = "no", "shards, files", "served files"
WEB_MBIT_S = 100.0
"""The line that "best for the web" assumes between store and viewer."""
WORTHWHILE = 1.1
"""Encodings that save less than this factor are left out where the fastest is sought."""
CLOSE_SIZE, CLOSE_TIME = 0.02, 0.05
"""Of encodings that come this close to the best, one without second stage is advised, else one that fits into shards,
else the one that encodes fastest."""
QUIET_MACHINE = 0.9
"""Share of the wall time that a benchmark which is alone on the machine gets of a core, at least."""


@dataclass(frozen=True)
class RequestPrices:
    """US dollars for a million requests."""

    put_usd: float
    get_usd: float
    source: str


# List prices of S3 Standard in US East (N. Virginia): 0.005 USD for 1,000 PUT, 0.0004 USD for 1,000 GET.
# https://aws.amazon.com/s3/pricing/
PRICES = RequestPrices(5.0, 0.4, "list prices of Amazon S3 Standard in US East, aws.amazon.com/s3/pricing")


def advice(rows: pd.DataFrame) -> str:
    """What to choose for one layer, at one chunk size, as a paragraph.

    rows : the columns of the table of encodings. Encodings with a fault are left out.
    """
    sound = rows[rows["fault"] == ""]
    equal = sound["lossless"].astype(bool)
    exact, lost = sound[equal & ~sound["lossy"].astype(bool)], sound[sound["lossy"].astype(bool)]
    if exact.empty:
        return "No encoding gave back what it had been given: nothing can be advised."
    parts = [_smallest(exact, "Smallest without loss")]
    if len(lost):
        parts.append(_smallest(lost, "Smallest of the lossy ones"))
    parts += [_fastest(sound), _for_the_web(exact, "Best for the web without loss")]
    if len(lost):
        parts.append(_for_the_web(lost, "Best for the web with loss"))
    parts.append(_from_the_config(exact))
    return " ".join([*parts, requests(int(rows["chunks_per_shard"].iloc[0]))])


def requests(chunks_per_shard: int) -> str:
    """What a million chunks cost in requests, as files and in shards of so many chunks."""
    text = (
        f"Requests for a million chunks cost {PRICES.put_usd:.2f} USD to put and {PRICES.get_usd:.2f} USD to get, each"
        f" chunk once, as files ({PRICES.source})"
    )
    if chunks_per_shard == 1:
        return f"{text}."
    shards = -(-1_000_000 // chunks_per_shard)
    return (
        f"{text}; in this layer's shards of {chunks_per_shard:,} chunks {PRICES.put_usd * shards / 1e6:.2g} USD to put,"
        " and as much as files to get, for a viewer asks for every chunk of a shard by itself."
    )


def web_ms(row: Mapping[str, Any]) -> float:
    """Milliseconds to fetch over `WEB_MBIT_S` and to decode, by the codec alone, a million voxels."""
    return float(1000 * (row["bytes"] / row["voxels"] * 8 / WEB_MBIT_S + 1 / row["codec_decode_mvx_s"]))


def faults(rows: pd.DataFrame) -> list[str]:
    """A line for each encoding that failed or did not give back what it had to, and one for a machine that was busy."""
    lines = [f"FAULT {_name(r)} at chunks of {r['chunk']}: {r['fault']}" for r in records(rows) if r["fault"]]
    busy = int((rows["cpu_share"] < QUIET_MACHINE).sum())
    if busy:
        lines.append(
            f"{busy} of {len(rows)} measurements had less than {QUIET_MACHINE:.0%} of a core: something else ran on the"
            " machine, and their speeds are too low. Measure again: snakemake compression --forcerun compression_codec"
        )
    return lines


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dicts."""
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def number(value: float | None) -> str:
    """Three digits; a dash for what was not measured."""
    if value is None or value != value:
        return "–"
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def _smallest(rows: pd.DataFrame, title: str) -> str:
    best = _first(rows, "ratio", CLOSE_SIZE)
    unable = _unable(best)
    text = f"{title}: {_name(best)}, {number(best['ratio'])} times smaller than raw"
    if not best["lossless"]:
        text += f" (largest error {best['max_error']:g}{_likeness(best)})"
    text += f", encoded at {number(best['encode_mvx_s'])} and decoded at {number(best['decode_mvx_s'])} MVx/s"
    if not unable:
        return f"{text}; every reader takes it{_caveat(best)}."
    text += _caveat(best)
    text += f"; {' and '.join(unable)} cannot read it right"
    readable = rows[(rows[list(READERS)] != NOWHERE).all(axis=1)]
    if readable.empty:
        return f"{text}, nor any other of them."
    other = _first(readable, "ratio", CLOSE_SIZE)
    return f"{text}. Of those that every reader takes: {_name(other)}, {number(other['ratio'])} times{_caveat(other)}."


def _fastest(rows: pd.DataFrame) -> str:
    worth = rows[rows["ratio"] > WORTHWHILE]
    plain = rows[(rows["encoding"] == "raw") & (rows["second_stage"] == "none")]["decode_mvx_s"]
    raw = number(plain.max())
    if worth.empty:
        return f"Nothing saves a tenth of the bytes; raw decodes at {raw} MVx/s."
    best = _first(worth, "codec_decode_mvx_s")
    return (
        f"Fastest to decode of those that save a tenth: {_name(best)}, the codec alone at"
        f" {number(best['codec_decode_mvx_s'])} MVx/s and with files at {number(best['decode_mvx_s'])}"
        f" ({number(best['ratio'])} times smaller); raw with files at {raw}."
    )


def _for_the_web(rows: pd.DataFrame, title: str) -> str:
    timed = rows.assign(web_ms=[web_ms(row) for row in records(rows)])
    everywhere = timed[(timed[list(READERS)] == ANYWHERE).all(axis=1)]
    if everywhere.empty:
        return f"{title}: nothing that every reader takes."
    best = _first(everywhere, "web_ms", ascending=True)
    text = (
        f"{title}, among those that every reader takes, in shards too: {_name(best)}, {number(best['web_ms'])} ms to"
        f" fetch and decode a million voxels over {WEB_MBIT_S:g} Mbit/s"
    )
    served = timed[(timed[list(READERS)] != NOWHERE).all(axis=1)]
    other = _first(served, "web_ms", ascending=True)
    if other["web_ms"] < (1 - CLOSE_TIME) * best["web_ms"]:
        text += f" ({_name(other)} {number(other['web_ms'])} ms, but only as single files from a server)"
    return f"{text}."


def _first(rows: pd.DataFrame, column: str, close: float = CLOSE_TIME, ascending: bool = False) -> dict[str, Any]:
    """The best row by a column; of those as `close` the simplest, for shards, then the fastest to encode."""
    best = float(rows[column].min() if ascending else rows[column].max())
    near = records(rows[(rows[column] - best).abs() <= close * best])

    def rank(row: Mapping[str, Any]) -> tuple[bool, bool, float]:
        only_served = any(row[reader] == SERVED for reader in READERS)
        return row["second_stage"] != "none", only_served, -row["codec_encode_mvx_s"]

    return min(near, key=rank)


def _from_the_config(exact: pd.DataFrame) -> str:
    """The smallest that loses nothing of what a layer's `pyramid` can be set to, with its lines."""
    writable = exact[[_config(row) is not None for row in records(exact)]]
    if writable.empty:
        return "The pyramid of a layer can be set to none of those without loss."
    best = _first(writable, "ratio", CLOSE_SIZE)
    return (
        f"Smallest without loss that this workflow writes: {_name(best)}, {number(best['ratio'])} times,"
        f" with `pyramid: {_config(best)}`."
    )


def _config(row: Mapping[str, Any]) -> str | None:
    """The `pyramid` of the configuration that writes such chunks in shards; None where there is none."""
    gzip = {"none": False, "gzip, libdeflate 6": True}.get(row["second_stage"])
    name = row["encoding"]
    if name in ("jpeg", "png", "jxl"):
        if gzip is not False or (name == "png" and row["quality"] != 1):
            return None
        return "{encoding: png}" if name == "png" else f"{{encoding: {name}, quality: {row['quality']:.0f}}}"
    return None if gzip is None else f"{{encoding: {name}, gzip: {str(gzip).lower()}}}"


def _caveat(row: Mapping[str, Any]) -> str:
    only_served = any(row[reader] == SERVED for reader in READERS)
    return " (only as single files from a server)" if only_served else ""


def _unable(row: Mapping[str, Any]) -> list[str]:
    return [title for reader, title in READERS.items() if row[reader] == NOWHERE]


def _likeness(row: Mapping[str, Any]) -> str:
    psnr, ssim = row["psnr_db"], row["ssim"]
    return (f", PSNR {psnr:.1f} dB" if psnr == psnr else "") + (f", SSIM {ssim:.3f}" if ssim == ssim else "")


def _name(row: Mapping[str, Any]) -> str:
    codec = row["codec"].replace("_", " ")
    return str(codec if row["second_stage"] == "none" else f"{codec} + {row['second_stage']}")
