# The locked environment with the workflow in it, as the cloud profiles name it (docs/executors.md):
#   docker build -t <registry>/ophiolite:0.1.0 .
#   docker run --rm -v "$PWD:/data" -w /data -u "$(id -u):$(id -g)" -e HOME=/tmp <registry>/ophiolite:0.1.0 \
#     snakemake -s /ophiolite/workflow/Snakefile --workflow-profile /ophiolite/profiles/local --configfile mine.yaml plan
# There the sources of mine.yaml lie below this folder, and results/ is made in it, this user's own.
# Its build is not tested: where the tests run there is no Docker; a test holds it against the files that it names.
FROM python:3.11-slim-bookworm

WORKDIR /ophiolite
COPY requirements/lock.txt requirements/lock.txt
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/lock.txt
COPY LICENSE LICENSE
COPY config config
COPY envs envs
COPY profiles profiles
COPY scripts scripts
COPY workflow workflow

ENV PYTHONPATH=/ophiolite/scripts
# No ENTRYPOINT: AWS Batch would put a job's shell command behind it, as arguments.
CMD ["snakemake", "--help"]
