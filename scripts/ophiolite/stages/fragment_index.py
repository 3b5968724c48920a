"""The fragment index: from the receipts of all blocks, which bytes of which fragment file are for which merge job."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ophiolite.layers.receipts import read_receipt
from ophiolite.layers.store import Written
from ophiolite.plan.costs import BASE_MEMORY_MB
from ophiolite.stages.job import Job
from ophiolite.stages.layer import reduced_statistics

FAR_OFF = 4
INDEX = np.dtype([("block", "<u4"), ("merge_job", "<u4"), ("offset", "<u8"), ("size", "<u8")])


def write_index(job: Job, product: str) -> tuple[list[Written], dict[str, Any]]:
    """Make the fragment index from the receipts of all blocks, and say where the estimate of labels was far off."""
    plan = job.product(product)
    rows: list[tuple[int, int, int, int]] = []
    # No object is larger than the sum of the largest of all blocks.
    object_bytes: list[tuple[int, int]] = []
    for number, block in enumerate(plan.block_names()):
        facts = read_receipt(job.store, job.paths.receipt(f"{product}_fragments", block)).facts
        rows += [(number, *entry) for entry in facts["ranges"]]
        object_bytes += [(number, size) for number, size in facts.get("largest_object_bytes", ())]
    table = np.array(rows, dtype=INDEX)
    table.sort(order=("merge_job", "block"))
    buffer = io.BytesIO()
    np.save(buffer, table)
    labels = sum(len(s.labels) for s in reduced_statistics(job))
    if labels and not labels / FAR_OFF <= plan.expected_labels <= labels * FAR_OFF:
        job.say(
            f"warning: {labels} labels, but the shards are planned for {plan.expected_labels}; "
            f"set {product}.expected_labels: {labels} to balance them"
        )
    bytes_of_jobs = np.bincount(table["merge_job"], weights=table["size"], minlength=plan.merge_jobs)
    found: dict[str, Any] = {"labels": labels, "largest_job_bytes": int(bytes_of_jobs.max())}
    if object_bytes:
        jobs, sizes = np.array(object_bytes, np.int64).T
        # What is read is held twice while it is taken apart; later, what is written lies beside it.
        bytes_of_jobs = 2 * bytes_of_jobs + np.bincount(jobs, weights=sizes, minlength=plan.merge_jobs)
        found["memory_mb"] = [BASE_MEMORY_MB + int(size) // 10**6 for size in bytes_of_jobs]
    return [job.store.write(job.paths.fragment_index(product), buffer.getvalue())], found
