#!/usr/bin/env bash
# Debian's Ceph with its S3 gateway, for the tests: as root; starts nothing, and does nothing where all is there.
set -euo pipefail
programs=(monmaptool ceph-mon ceph-osd ceph radosgw radosgw-admin)
missing=()
for program in "${programs[@]}"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ "${#missing[@]}" = 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "cannot install Ceph: that needs root and apt-get; missing: ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt="apt-get -qq -o DPkg::Lock::Timeout=300"
$apt update
$apt install -y --no-install-recommends ceph-mon ceph-osd ceph-common radosgw >/dev/null
