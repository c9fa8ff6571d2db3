#!/usr/bin/env bash
# Prints the project's figures: ratios against peers and floors in the same run, CPU first, because machines are noisy.
# BENCH_ENTRIES sets the number of files for listing and copying (default 1,000,000).
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
go build -trimpath -ldflags "-s -w" -o "$tmp/" ./internal/bench ./internal/bench/plain
"$tmp/bench" -dsrun bin/dsrun -plain "$tmp/plain" -entries "${BENCH_ENTRIES:-1000000}" "$@"
go run ./internal/bench/rows
