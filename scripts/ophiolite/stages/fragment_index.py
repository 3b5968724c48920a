"""The fragment index: from the receipts of all blocks, which bytes of which fragment file are for which merge job."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.statistics import count_labels
from ophiolite.layers.store import Written
from ophiolite.plan.costs import BASE_MEMORY_MB
from ophiolite.stages.job import Job
from ophiolite.stages.layer import reduced_path

FAR_OFF = 4
INDEX = np.dtype([("block", "<u4"), ("merge_job", "<u4"), ("offset", "<u8"), ("size", "<u8")])


def write_index(job: Job, product: str) -> tuple[list[Written], dict[str, Any]]:
    """Make the fragment index from the receipts of all blocks, and say where the estimate of labels was far off."""
    plan = job.product(product)
    tables = [np.empty(0, INDEX)]
    # No object is larger than the sum of the largest of all blocks.
    object_bytes = np.zeros(plan.merge_jobs, np.int64)
    for number, block in enumerate(plan.block_names()):
        facts = read_receipt(job.store, job.paths.receipt(f"{product}_fragments", block)).facts
        tables.append(np.array([(number, *entry) for entry in facts["ranges"]], INDEX))
        for merge_job, size in facts.get("largest_object_bytes", ()):
            object_bytes[merge_job] += size
    table = np.concatenate(tables)
    table.sort(order=("merge_job", "block"))
    buffer = io.BytesIO()
    np.save(buffer, table)
    labels = sum(count_labels(job.store, reduced_path(job, part)) for part in range(job.volume.stats_parts))
    if labels and not labels / FAR_OFF <= plan.expected_labels <= labels * FAR_OFF:
        job.say(
            f"warning: {labels} labels, but the shards are planned for {plan.expected_labels}; "
            f"set {product}.expected_labels: {labels} to balance them"
        )
    bytes_of_jobs = np.bincount(table["merge_job"], weights=table["size"], minlength=plan.merge_jobs)
    found: dict[str, Any] = {"labels": labels, "largest_job_bytes": int(bytes_of_jobs.max())}
    if object_bytes.any():
        # What is read is held twice while it is taken apart; later, what is written lies beside it.
        bytes_of_jobs = 2 * bytes_of_jobs + object_bytes
        found["memory_mb"] = [BASE_MEMORY_MB + int(size) // 10**6 for size in bytes_of_jobs]
    return [job.store.write(job.paths.fragment_index(product), buffer.getvalue())], found
