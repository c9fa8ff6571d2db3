package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestDryRunOfManyEvents: what would be sent is printed whole and in order, however much it is.
func TestDryRunOfManyEvents(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", "topic \"file\" \"events\" {\n  path = \"events.jsonl\"\n}\n")
	var in strings.Builder
	const n = 3000
	for i := range n {
		fmt.Fprintf(&in, "{\"n\": %d}\n", i)
	}
	write(t, dir, "in.jsonl", in.String())
	write(t, dir, "all.star", fmt.Sprintf("def main():\n    topics.events.publish_all(stream.of(range(%d)).map(lambda n: {\"n\": n}), type = \"x\")\n", n))
	for _, args := range [][]string{{"publish", "events", "--type", "x", "--file", "in.jsonl"}, {"run", "all.star"}} {
		lines := strings.Split(strings.TrimSpace(mustRun(t, dir, append(args, "--dry-run")...)), "\n")
		if len(lines) != n+1 {
			t.Fatalf("dsrun %q printed %d lines", args, len(lines))
		}
		for i, line := range lines[1:] {
			if got := strings.ReplaceAll(line, ": ", ":"); got != fmt.Sprintf("  publish   x to events:{\"n\":%d}", i) {
				t.Fatalf("line %d: %s", i, line)
			}
		}
		lines = strings.Split(strings.TrimSpace(mustRun(t, dir, append(args, "--dry-run", "--json")...)), "\n")
		if len(lines) != n || !strings.Contains(lines[n-1], fmt.Sprintf(`"data":{"n":%d}`, n-1)) && !strings.Contains(lines[n-1], fmt.Sprintf(`"data":{"n": %d}`, n-1)) {
			t.Errorf("dsrun %q --json printed %d lines, the last %s", args, len(lines), lines[len(lines)-1])
		}
	}
}
