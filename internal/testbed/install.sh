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

# Programs from the npm registry, each in a folder of its own.
npm_tool() { # name package@version
	local home="$bin/../npm/$1"
	[ -x "$bin/$1" ] && [ "$(cat "$home/installed" 2>/dev/null)" = "$2" ] && return
	echo "testbed: installing $2"
	rm -rf "$home" && mkdir -p "$home"
	npm install --prefix "$home" --no-audit --no-fund --no-update-notifier "$2" >"$bin/../$1.log" 2>&1 || {
		echo "testbed: $2 could not be installed, see $bin/../$1.log"
		return
	}
	echo "$2" >"$home/installed"
	ln -sfn "../npm/$1/node_modules/.bin/$1" "$bin/$1"
}

# Pythons with the modules that judge what we write, each in an environment of its own: $bin/NAME is a Python that has
# them. It is a script, because Python finds its modules by its own path.
python_env() { # name requirement...
	local name=$1 home="$bin/../python/$1"
	shift
	[ -x "$bin/$name" ] && [ "$(cat "$home/installed" 2>/dev/null)" = "$*" ] && return
	echo "testbed: installing $*"
	rm -rf "$home"
	{ python3 -m venv "$home" && "$home/bin/pip" install --disable-pip-version-check "$@"; } >"$bin/../$name.log" 2>&1 || {
		echo "testbed: $* could not be installed, see $bin/../$name.log"
		return
	}
	echo "$*" >"$home/installed"
	printf '#!/bin/sh\nexec "%s/bin/python3" "$@"\n' "$(cd "$home" && pwd)" >"$bin/$name"
	chmod +x "$bin/$name"
}

# Packages from the distribution, when we may install them.
apt_packages() { # package...
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "testbed: installing $*"
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$bin/../apt.log" 2>&1 ||
			echo "testbed: apt-get failed, see $bin/../apt.log"
	else
		echo "testbed: not installed (needs root and apt-get): $*"
	fi
}

need=()
command -v python3 >/dev/null || need+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
command -v gcc >/dev/null || need+=(gcc libc6-dev)
[ ${#need[@]} -eq 0 ] || apt_packages "${need[@]}"

# One file for each family of servers and judges.
for part in install.d/*.sh; do
	# shellcheck source=/dev/null
	. "$part"
done
exit 0
