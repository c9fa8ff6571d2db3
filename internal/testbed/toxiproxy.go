package testbed

import "strconv"

// Toxiproxy is Shopify's fault proxy, a cross-check of our own fault server. Its API is at Instance.URL.
var Toxiproxy = Server{
	Name:    "toxiproxy",
	Args:    func(i *Instance) []string { return []string{"-host", "127.0.0.1", "-port", strconv.Itoa(i.Port)} },
	Version: []string{"-version"},
	Ready:   Answers("/version"),
}
