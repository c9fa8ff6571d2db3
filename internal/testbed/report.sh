#!/usr/bin/env bash
# Prints which servers and tools the tests used; the tests append a line each to $DSRUN_TESTBED_LOG.
set -euo pipefail
log=${DSRUN_TESTBED_LOG:?}
echo "servers and tools used:"
if [ -s "$log" ]; then sort "$log" | uniq -c | sed 's/^/ /'; else echo "  none"; fi
