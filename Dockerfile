# The locked environment with the workflow in it, as the cloud profiles name it (docs/executors.md):
#   docker build -t <registry>/ophiolite:0.1.0 .
#   docker run --rm -v "$PWD:/data" -w /data -u "$(id -u):$(id -g)" -e HOME=/tmp <registry>/ophiolite:0.1.0 \
#     snakemake plan -s /ophiolite/workflow/Snakefile --workflow-profile /ophiolite/profiles/local --configfile mine.yaml
# There the sources of mine.yaml lie below this folder, and results/ is made in it, this user's own.
# Its build is not tested: where the tests run there is no Docker; a test holds it against the files that it names.
FROM python:3.11-slim-bookworm

WORKDIR /ophiolite
COPY requirements/lock.txt requirements/lock.txt
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/lock.txt
# Before each job Snakemake installs the storage plugin's newest version in the job's folder, last in Python's path: the
# locked one, here, is what is imported. Without dependencies, which are here too, that takes a second.
COPY requirements/executor-kubernetes.txt requirements/executor-kubernetes.txt
COPY requirements/executor-google-batch.txt requirements/executor-google-batch.txt
RUN sed -n '/^snakemake-storage-plugin/,/[^\\]$/p' requirements/executor-*.txt > requirements/storage.txt && \
  python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements/storage.txt
ENV PIP_NO_DEPS=1
COPY LICENSE LICENSE
COPY config config
COPY envs envs
COPY profiles profiles
COPY scripts scripts
COPY workflow workflow

ENV PYTHONPATH=/ophiolite/scripts
# No ENTRYPOINT: AWS Batch would put a job's shell command behind it, as arguments.
CMD ["snakemake", "--help"]
