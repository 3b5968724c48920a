#!/usr/bin/env bash
# A second environment beside a finished one, with an executor plugin on top: what is installed there is found here too.
# The plugin stands apart because each slows every start of snakemake, SLURM's by seconds where its controller is down.
# usage: setup_executor.sh <slurm|kubernetes|aws-batch|google-batch> <python of the finished environment> <folder>
set -euo pipefail
executor=$1 python=$2 folder=$3
requirements="$(dirname "$0")/executor-$executor.txt"

base=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m venv "$folder"
own=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$base')" >"$own/below.pth"
"$folder/bin/python" -m pip install --quiet --require-hashes -r "$requirements"
printf '#!/bin/sh\nexec "$(dirname "$0")/python" -m snakemake "$@"\n' >"$folder/bin/snakemake"
chmod +x "$folder/bin/snakemake"
