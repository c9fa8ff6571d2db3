#!/usr/bin/env bash
# Fails when the linked binary keeps a ReflectMethod node: the linker then cannot drop unused exported methods.
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
go build -tags disable_grpc_modules,grpcnotrace -ldflags "-s -w -dumpdep" -o "$tmp/dsrun" ./cmd/dsrun 2>"$tmp/deps"
if ! grep -q -- '->' "$tmp/deps"; then echo "check-link: the linker printed no dependencies"; exit 1; fi
if grep -m 5 'ReflectMethod' "$tmp/deps"; then
	echo "check-link: the binary keeps ReflectMethod nodes (above); find the import that brings them"; exit 1
fi
printf 'check-link: no ReflectMethod node; stripped binary %s\n' "$(numfmt --to=iec-i --suffix=B "$(stat -c %s "$tmp/dsrun")")"
