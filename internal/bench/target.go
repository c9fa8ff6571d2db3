package main

import (
	"fmt"
	"strings"
)

// target is what a figure of ours should be beside a peer's in the same run: at most must, better at most stretch.
type target struct {
	metric        string // cpu or wall
	must, stretch float64
}

// judge says how a figure of ours stands beside a peer's, for each target.
func judge(ours, peer figure, targets ...target) string {
	ratio := func(metric string) float64 {
		if metric == "wall" {
			return float64(ours.wall) / float64(max(peer.wall, 1))
		}
		return float64(ours.cpu) / float64(max(peer.cpu, 1))
	}
	words := []string{fmt.Sprintf("dsrun takes %.3fx its cpu, %.3fx its wall", ratio("cpu"), ratio("wall"))}
	for _, t := range targets {
		r := ratio(t.metric)
		s := fmt.Sprintf("%s must %.2fx: %s", t.metric, t.must, met(r <= t.must))
		if t.stretch > 0 {
			s += fmt.Sprintf(", stretch %.2fx: %s", t.stretch, met(r <= t.stretch))
		}
		words = append(words, s)
	}
	return strings.Join(words, "; ")
}

// within says whether our peak memory is below a bound in MiB.
func within(ours figure, must float64) string {
	return fmt.Sprintf("rss must %.0f MiB: %s", must, met(mib(ours.rss) <= must))
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "NOT MET"
}
