from snakemake.common.tbdstring import TBDString

# What the plugins of two batch services read instead of a rule's memory and time, or in other sizes; included last, since
# it goes through all rules. Where the jobs go to is known when the first one is looked at.
# Google's plugin knows resources of its own only, and a machine fetches the image while the time runs.
STARTUP_MINUTES = 10
# AWS: MiB by vCPU. For a job of another size the plugin takes the least memory that there is (its issue 34).
AWS_SIZES = {
    1: range(2048, 8193, 1024),
    2: range(4096, 16385, 1024),
    4: range(8192, 30721, 1024),
    8: range(16384, 61441, 4096),
    16: range(32768, 122881, 8192),
}
AWS_LARGEST_MIB = AWS_SIZES[16][-1]


def goes_to(service, rule_at_hand):
    """True where the jobs of a rule are handed to this executor."""
    return workflow.non_local_exec and workflow.executor_plugin.name == service and not workflow.is_local(rule_at_hand)


def on_google(rule_at_hand, resource, said):
    """Resources function for Google Batch: `said` of what a rule asks for as `resource`; none for other executors."""

    def of_job(wildcards, **known):
        if not goes_to("googlebatch", rule_at_hand):
            return None
        asked = resource.evaluate(wildcards, **known).value
        return asked if isinstance(asked, TBDString) else said(asked)

    return of_job


def on_aws(rule_at_hand, part, cores, memory_mb):
    """Resources function: vCPU (`part` 0) or MiB (1) of a job on AWS Batch; elsewhere what the rule asks for."""

    def of_job(wildcards, **known):
        if not goes_to("aws-batch", rule_at_hand):
            return (cores, memory_mb)[part].evaluate(wildcards, **known).value
        threads = cores.evaluate(wildcards, **known).value
        asked = memory_mb.evaluate(wildcards, **{**known, "threads": threads}).value
        if isinstance(asked, TBDString):
            return (threads, asked)[part]
        # What grew too large by trying again is tried with the largest: to refuse it here would end all other jobs too.
        return aws_size(threads, min(asked, AWS_LARGEST_MIB) if known.get("attempt", 1) > 1 else asked)[part]

    return of_job


def aws_size(cores, memory_mb):
    """(vCPU, MiB): the smallest size of a job that has so many cores and so much memory."""
    sizes = [(mib, vcpu) for vcpu, sizes in AWS_SIZES.items() for mib in sizes if vcpu >= cores and mib >= memory_mb]
    if not sizes:
        raise WorkflowError(
            f"A job of {cores} threads and {memory_mb} MB is larger than any that the plugin of AWS Batch submits"
            f" (16 vCPU, {AWS_LARGEST_MIB} MiB): lower jobs.threads or jobs.memory_mb in the config"
        )
    return min(sizes)[::-1]


def suit_batch_services(rules):
    """Give the jobs of rules the resources that the batch services' plugins read."""
    for one in rules:
        asked = one.resources
        if one.norun or "mem_mb" not in asked:
            continue
        cores, memory_mb = asked["_cores"], asked["mem_mb"]
        google = {
            "googlebatch_cpu_milli": on_google(one, cores, lambda threads: 1000 * threads),
            "googlebatch_memory": on_google(one, memory_mb, lambda megabytes: megabytes),
        }
        if "runtime" in asked:
            google["googlebatch_max_run_duration"] = on_google(one, asked["runtime"], google_duration)
        for name, resource in google.items():
            if name not in asked:  # as --set-resources says
                asked[name] = resource
        asked["_cores"], asked["mem_mb"] = on_aws(one, 0, cores, memory_mb), on_aws(one, 1, cores, memory_mb)


def google_duration(minutes):
    """The run time of a job, which on Google Batch begins before it has fetched its image."""
    return f"{60 * (minutes + STARTUP_MINUTES)}s"


suit_batch_services(workflow.rules)
