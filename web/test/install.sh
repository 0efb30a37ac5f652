#!/usr/bin/env bash
# Installs what the browser tests need and the machine lacks: Node, Chromium, and the packages in package-lock.json.
set -euo pipefail
cd "$(dirname "$0")"

# as_root runs a command as root: directly, or with sudo.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -x /usr/bin/chromium ] || missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
	command -v apt-get >/dev/null || {
		echo "the browser tests need ${missing[*]}; install that, with Chromium at /usr/bin/chromium" >&2
		exit 1
	}
	as_root apt-get update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi
npm ci --no-audit --no-fund
