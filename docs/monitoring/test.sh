#!/usr/bin/env bash
# Checks the alert rules with promtool, and runs their tests: does each alert fire when it should, and nothing else beside it?
#
# promtool comes from Debian's package prometheus, unpacked into a temporary directory: nothing is installed and no service runs.
# PROMTOOL=/path/to/promtool uses another one.
set -euo pipefail
cd "$(dirname "$0")"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp" # apt-get downloads as a user of its own

fetch() {
  command -v apt-get >&2 || { echo "promtool is not here, nor apt-get to fetch it: install Prometheus, or set PROMTOOL" >&2; return 1; }
  cd "$tmp"
  apt-get download prometheus >&2 || { apt-get update >&2 && apt-get download prometheus >&2; }
  dpkg-deb -x prometheus_*.deb .
  echo "$tmp/usr/bin/promtool"
}

promtool=${PROMTOOL:-$(command -v promtool || true)}
if [ -z "$promtool" ]; then
  promtool=$(fetch)
fi
"$promtool" check rules alerts.yaml
"$promtool" test rules alerts_test.yaml
