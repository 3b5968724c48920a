WHOLE_LAYER = "layer"


def plan_with_receipts(wildcards):
    """Params function: the plan, which lies with the receipts; they must be in a folder, and not in a bucket."""
    if STORED:
        raise WorkflowError(
            "verify and heal read receipts in a folder: name a profile without default-storage-provider"
        )
    return PLAN_FILE


def damage():
    """What the last `verify` found damaged: a fault each, with the job to run again and its wave."""
    planned()
    record = Path(PLAN_FILE).with_name("damage.json")
    fields = {"dataset": str, "layer": str, "rule": str, "item": str, "wave": int}
    try:
        found = json.loads(record.read_text())
        sound = all(isinstance(fault[name], kind) for fault in found for name, kind in fields.items())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WorkflowError(
            f"{record} cannot be read ({error.strerror}): check the disk, then `snakemake verify` again"
        )
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise WorkflowError(f"{record} is no record of `snakemake verify`: run that again, then `snakemake heal`")
    return [fault for fault in found if "digests" in layer_of(fault)]


def layer_of(fault):
    """The plan of a damaged layer; empty where it went since, and without digests where it is refused now."""
    return the_plan()["datasets"].get(fault["dataset"], {"layers": {}})["layers"].get(fault["layer"], {})


def healed(faults):
    """The files that say that the jobs of these faults have run again."""
    jobs = {(f["dataset"], f["layer"], f["rule"], f["item"] or WHOLE_LAYER) for f in faults}
    return sorted(f"{ROOT}/{dataset}/healing/{layer}/{rule}/{item}" for dataset, layer, rule, item in jobs)


def damaged_jobs(wildcards):
    """Every job to run again; none where the last `verify` found nothing."""
    return healed(damage())


def damaged_jobs_before(wildcards):
    """The jobs to run again whose files a job may read: those of lower waves of its dataset."""
    faults = [f for f in damage() if f["dataset"] == wildcards.dataset]
    wave = next(f["wave"] for f in faults if f["layer"] == wildcards.layer and f["rule"] == wildcards.damaged)
    if wildcards.damaged == "pyramid_blocks":
        wave = 1 + int(wildcards.item[1:].partition(".")[0])
    return healed(f for f in faults if f["wave"] < wave)


def of_damaged(of_rule):
    """Resources function: what `of_rule(rule)` says of the job's own rule."""
    return lambda wildcards, attempt: of_rule(wildcards.damaged)(wildcards, attempt)


def memory_of_damaged(wildcards, attempt):
    """Resources function: what the job's own rule asks for; of a merge job, what its index says."""
    product, _, step = wildcards.damaged.rpartition("_")
    known = None
    if product in PRODUCTS and step == "shards":
        try:
            known = memory_of_index(expand_layer(receipt(f"{product}_index"), wildcards)[0])
        except (FileNotFoundError, WorkflowError):
            pass  # it is damaged too, and made again before the job
    planned = known[int(wildcards.item)] if known else cost(wildcards.damaged, wildcards)["memory_mb"]
    return planned * attempt + SNAKEMAKE_MB * workflow.non_local_exec


def disk_of_damaged(wildcards):
    """Resources function: the disk that the job's own rule asks for."""
    return disk(wildcards.damaged)(wildcards)


def digest_of_damaged(wildcards):
    """Params function: the digest of the job's own rule."""
    return digest(wildcards.damaged)(wildcards)


def item_of_damaged(wildcards):
    """Params function: the block, part or merge job of a damaged job as its command takes it."""
    return "" if wildcards.item == WHOLE_LAYER else f"--item {wildcards.item}"
