#!/usr/bin/env bash
# Runs the store's conformance test in Node, whose fetch is the browser's, against a server beside it.
set -euo pipefail
cd "$(dirname "$0")/../.."
world=$(mktemp -d)
trap 'exec 3>&-; rm -rf "$world"' EXIT
go build -o "$world/webworld" ./integration/webworld
mkfifo "$world/in"
"$world/webworld" -stores <"$world/in" >"$world/out" &
exec 3>"$world/in" # the server lives as long as this is open
until [ -s "$world/out" ]; do kill -0 $! && sleep 0.1; done
LITEFS_S3_STORES=$(sed -n 's/.*"stores":"\([^"]*\)".*/\1/p' "$world/out")
export LITEFS_S3_STORES
GOOS=js GOARCH=wasm go test -count=1 -exec "$(go env GOROOT)/lib/wasm/go_js_wasm_exec" ./objstore/fetchstore ./objstore/internal/reply "$@"
