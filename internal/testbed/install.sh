#!/usr/bin/env bash
# Installs what tests use besides Go, where that is possible. What is missing afterwards is skipped with a reason by the
# test that wants it, or fails it when DSRUN_TESTBED=require.
set -uo pipefail
cd "$(dirname "$0")"
bin=${DSRUN_TESTBED_BIN:?}
mkdir -p "$bin"

# Servers written in Go come from the nested module in tools/, so that the product's go.mod stays clean.
go_tool() { # name package
	if [ ! -x "$bin/$1" ] || [ tools/go.mod -nt "$bin/$1" ]; then
		echo "testbed: building $1"
		(cd tools && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w" -o "$bin/$1" "$2") || echo "testbed: $1 could not be built"
	fi
}
go_tool toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server

# Programs from the distribution, when we may install them.
need=()
command -v python3 >/dev/null || need+=(python3)
command -v gcc >/dev/null || need+=(gcc libc6-dev)
if [ ${#need[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "testbed: installing ${need[*]}"
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${need[@]}"; } >"$bin/../apt.log" 2>&1 ||
			echo "testbed: apt-get failed, see $bin/../apt.log"
	else
		echo "testbed: not installed (needs root and apt-get): ${need[*]}"
	fi
fi
exit 0
