rule slide_ome_tiff:
    input:
        layers_of_slide("slide"),
    output:
        receipt("slide_ome_tiff"),
    log:
        log_of("slide_ome_tiff"),
    benchmark:
        benchmark_of("slide_ome_tiff")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("slide_ome_tiff"),
        runtime=runtime("slide_ome_tiff"),
        disk_mb=disk("slide_ome_tiff"),
    params:
        job=job_arguments,
        digest=digest("slide_ome_tiff"),
    shell:
        "python -m ophiolite slide_ome_tiff {params.job} 2> {log:q}"


rule slide_ome_zarr:
    input:
        layers_of_slide("slide"),
    output:
        receipt("slide_ome_zarr"),
    log:
        log_of("slide_ome_zarr"),
    benchmark:
        benchmark_of("slide_ome_zarr")
    conda:
        "../../envs/volume.yaml"
    resources:
        mem_mb=memory("slide_ome_zarr"),
        runtime=runtime("slide_ome_zarr"),
        disk_mb=disk("slide_ome_zarr"),
    params:
        job=job_arguments,
        digest=digest("slide_ome_zarr"),
    shell:
        "python -m ophiolite slide_ome_zarr {params.job} 2> {log:q}"
