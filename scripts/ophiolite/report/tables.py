"""Tables of the report, from the records that jobs leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TIMING_COLUMNS = ("rule", "seconds", "cpu_s", "peak_mb", "bytes", "files", "finished")
STAGE_COLUMNS = ("stage", "jobs", "core_hours", "wall_s", "peak_mb", "bytes", "files")


def stage_table(timings: Sequence[Mapping[str, Any]], order: Sequence[str] = ()) -> pd.DataFrame:
    """What each stage cost: a row per rule, with columns `STAGE_COLUMNS`, and a last row `total`.

    timings : records with `TIMING_COLUMNS`, as jobs write them; `finished` is an ISO time.
    order : rules in the order in which they run; others follow by name.
    core_hours are of the processor, wall_s from the start of the first to the end of the last job, peak_mb of the
    largest job.
    """
    import pandas as pd

    records = pd.DataFrame(list(timings), columns=list(TIMING_COLUMNS))
    end = pd.to_datetime(records["finished"], utc=True)
    records = records.assign(end=end, start=end - pd.to_timedelta(records["seconds"], unit="s"))
    names = sorted(
        records["rule"].unique(), key=lambda rule: (order.index(rule) if rule in order else len(order), rule)
    )
    rows = [_stage(name, records[records["rule"] == name]) for name in names]
    if rows:
        rows.append(_stage("total", records))
    return pd.DataFrame(rows, columns=list(STAGE_COLUMNS))


def _stage(name: str, jobs: pd.DataFrame) -> dict[str, Any]:
    return {
        "stage": name,
        "jobs": len(jobs),
        "core_hours": jobs["cpu_s"].sum() / 3600,
        "wall_s": (jobs["end"].max() - jobs["start"].min()).total_seconds(),
        "peak_mb": jobs["peak_mb"].max(),
        "bytes": int(jobs["bytes"].sum()),
        "files": int(jobs["files"].sum()),
    }
