#!/usr/bin/env bash
# Prints the project's figures: ratios against peers and floors in the same run, CPU first, because machines are noisy.
# BENCH_ENTRIES, BENCH_ROWS and BENCH_BIG set the files to list and copy, the rows to convert (both 1,000,000) and the
# size of the large file in MiB (2048). BENCH_ONLY=startup,list runs only these parts; BENCH_SCALE=0.1 takes a tenth of the
# objects on S3. The peers on S3, rclone, s5cmd
# and s3sdk (loops over the plain AWS SDK), are built here, from nested modules of their own; mc takes part where it is on PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
go build -trimpath -ldflags "-s -w" -o "$tmp/" ./internal/bench ./internal/bench/plain ./internal/bench/rows ./internal/testbed/cmd/nulls3
bin=${DSRUN_TESTBED_BIN:-$PWD/.cache/testbed/bin}
mkdir -p "$bin"
[ -x "$bin/s5cmd" ] || (cd internal/bench/peers/s5cmd && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w" -o "$bin/s5cmd" github.com/peak/s5cmd/v2) ||
	echo "bench: s5cmd could not be built"
[ -x "$bin/rclone" ] || (cd internal/bench/peers && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w" -o "$bin/rclone" ./rclone) ||
	echo "bench: rclone could not be built"
[ -x "$bin/s3sdk" ] || (cd internal/bench/peers && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w" -o "$bin/s3sdk" ./s3sdk) ||
	echo "bench: s3sdk could not be built"
export PATH="$PATH:$bin"
"$tmp/bench" -dsrun bin/dsrun -plain "$tmp/plain" -formats "$tmp/rows" -nulls3 "$tmp/nulls3" -scale "${BENCH_SCALE:-1}" -entries "${BENCH_ENTRIES:-1000000}" \
	-rows "${BENCH_ROWS:-1000000}" -big "${BENCH_BIG:-2048}" -only "${BENCH_ONLY:-}" "$@"
