#!/usr/bin/env bash
# Installs what tests use besides Go, where that is possible. What is missing afterwards is skipped with a reason by the
# test that wants it, or fails it when DSRUN_TESTBED=require.
set -uo pipefail
cd "$(dirname "$0")"
bin=${DSRUN_TESTBED_BIN:?}
mkdir -p "$bin"

# Servers written in Go come from the nested module in tools/, so that the product's go.mod stays clean.
go_tool() { # name package [linker flags]
	if [ ! -x "$bin/$1" ] || [ tools/go.mod -nt "$bin/$1" ]; then
		echo "testbed: building $1"
		(cd tools && GOFLAGS=-mod=mod go build -trimpath -ldflags "-s -w ${3-}" -o "$bin/$1" "$2") || echo "testbed: $1 could not be built"
	fi
}
go_tool toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server
versity=$(cd tools && GOFLAGS=-mod=mod go list -m -f '{{.Version}}' github.com/versity/versitygw)
go_tool versitygw github.com/versity/versitygw/cmd/versitygw "-X main.Version=$versity"

# Programs from the distribution, when we may install them.
need=()
command -v python3 >/dev/null || need+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
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

# Servers written in Python, each in an environment of its own.
python_server() { # program requirement
	local home="$bin/../python/$1"
	[ -x "$bin/$1" ] && [ "$(cat "$home/installed" 2>/dev/null)" = "$2" ] && return
	echo "testbed: installing $2"
	rm -rf "$home"
	{ python3 -m venv "$home" && "$home/bin/pip" install --disable-pip-version-check "$2"; } >"$bin/../$1.log" 2>&1 || {
		echo "testbed: $2 could not be installed, see $bin/../$1.log"
		return
	}
	echo "$2" >"$home/installed"
	ln -sfn "../python/$1/bin/$1" "$bin/$1"
}
python_server moto_server 'moto[server]==5.2.5'

# A Python with the modules that judge what we write. It is a script, because Python finds its modules by its own path.
python_with() { # requirement...
	local home="$bin/../python/judge"
	[ -x "$bin/python3" ] && [ "$(cat "$home/installed" 2>/dev/null)" = "$*" ] && return
	echo "testbed: installing $*"
	rm -rf "$home"
	{ python3 -m venv "$home" && "$home/bin/pip" install --disable-pip-version-check "$@"; } >"$bin/../judge.log" 2>&1 || {
		echo "testbed: $* could not be installed, see $bin/../judge.log"
		return
	}
	echo "$*" >"$home/installed"
	printf '#!/bin/sh\nexec "%s/bin/python3" "$@"\n' "$(cd "$home" && pwd)" >"$bin/python3"
	chmod +x "$bin/python3"
}
python_with 'jsonschema==4.26.0'
exit 0
