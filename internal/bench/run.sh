#!/usr/bin/env bash
# Prints the project's figures: ratios against peers and floors in the same run, CPU first, because machines are noisy.
# BENCH_ENTRIES, BENCH_ROWS and BENCH_BIG set the files to list and copy, the rows to convert (both 1,000,000) and the
# size of the large file in MiB (2048). BENCH_ONLY=startup,list runs only these parts.
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
go build -trimpath -ldflags "-s -w" -o "$tmp/" ./internal/bench ./internal/bench/plain ./internal/bench/rows
"$tmp/bench" -dsrun bin/dsrun -plain "$tmp/plain" -formats "$tmp/rows" -entries "${BENCH_ENTRIES:-1000000}" \
	-rows "${BENCH_ROWS:-1000000}" -big "${BENCH_BIG:-2048}" -only "${BENCH_ONLY:-}" "$@"
