#!/usr/bin/env bash
# Debian's SLURM with its accounting, for the tests: as root; starts nothing, and does nothing where all is there.
set -euo pipefail
programs=(munged slurmctld slurmd slurmdbd sbatch srun scancel scontrol sacct sacctmgr mariadbd mariadb-install-db)
missing=()
for program in "${programs[@]}"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ "${#missing[@]}" = 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "cannot install SLURM: that needs root and apt-get; missing: ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# A package must not start its daemon: the tests start their own, on ports and in folders of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt="apt-get -qq -o DPkg::Lock::Timeout=300"
$apt update
$apt install -y --no-install-recommends slurm-wlm munge slurmdbd slurm-wlm-mysql-plugin mariadb-server >/dev/null
