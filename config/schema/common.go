package schema

import (
	"fmt"
	"strings"
	"time"
)

// The modes of a datastore: what may be done to it.
const (
	ModeRead   = "read"   // list and read
	ModeAppend = "append" // also create keys that do not exist
	ModeWrite  = "write"  // also overwrite and delete
)

// The forms in which a topic sends events.
const (
	FormatCloudEvents = "cloudevents"
	FormatNative      = "native"
)

// Common holds the attributes that every block of a kind has besides those of its own schema. Which of them a block
// takes depends on its kind: see CommonFields.
type Common struct {
	Credential     Ref // zero: the family's default block, else the family's own default chain
	Default        bool
	Description    string
	Labels         map[string]string
	Timeout        time.Duration // of one operation; 0 means that the stall and idle time-outs alone decide
	MaxAttempts    int64         // of one request, the first included; 0 means the engine's default
	MaxConcurrency int64         // requests at once; 0 means the engine's default
	CAFile         string        // absolute; "" means the system's certificates
	Insecure       bool

	Prefix   string // datastore
	Mode     string // datastore: ModeRead, ModeAppend or ModeWrite
	Validate bool   // datastore

	Source     string // topic
	Format     string // topic: FormatCloudEvents or FormatNative
	Schema     string // topic
	Durable    bool   // topic
	DeadLetter Ref    // topic: a datastore
}

// CommonFields declares the common attributes of a kind of block ("credential", "datastore" or "topic"), bound to c, and
// sets the defaults. A block has a `credential` attribute only when families is not empty.
func CommonFields(f *Fields, c *Common, block string, families []string) {
	if len(families) > 0 && block != "credential" {
		f.Ref(&c.Credential, "credential", "Credential to use; when absent, the family's block marked `default = true`, else the family's own default chain.", "credential").
			Eg("credential." + families[0] + ".main")
	}
	f.String(&c.Description, "description", "What the block is for, in your own words.").Eg(`"Nightly exports"`)
	f.Map(&c.Labels, "labels", "Labels of your own, for logs and metrics.").Eg(`{ team = "data" }`)
	if block == "credential" {
		f.Bool(&c.Default, "default", "Serve the blocks that name no credential of this family. At most one block of a family is the default.").Default("false")
		return
	}
	switch block {
	case "datastore":
		c.Mode = ModeWrite
		f.Bool(&c.Default, "default", "Make this the datastore that `ds.default` means. At most one datastore is the default.").Default("false")
		f.String(&c.Prefix, "prefix", "Key prefix below which everything happens: scripts neither see nor reach keys outside of it.").
			Eg(`"in/"`).Validate(func() error { return checkPrefix(c.Prefix) })
		f.String(&c.Mode, "mode", "What may be done: `read` lists and reads, `append` also creates new keys, `write` also overwrites and deletes.").
			Default(`"write"`).OneOf(ModeRead, ModeAppend, ModeWrite)
		f.Bool(&c.Validate, "validate", "Open the datastore and look at it before the script starts, so that a wrong name or credential fails at once.").Default("false")
	case "topic":
		c.Format = FormatCloudEvents
		f.Bool(&c.Default, "default", "Make this the default topic. At most one topic is the default.").Default("false")
		f.String(&c.Source, "source", "The CloudEvents attribute `source` of every event, a URI reference; when absent, it is made of the script and the run.").Eg(`"/pipelines/nightly"`)
		f.String(&c.Format, "format", "Form in which events are sent: `cloudevents`, or the service's `native` one.").
			Default(`"cloudevents"`).OneOf(FormatCloudEvents, FormatNative)
		f.String(&c.Schema, "schema", "JSON Schema that the data of every event must satisfy, as a text.").Eg(`file("dataset.schema.json")`)
		f.Bool(&c.Durable, "durable", "Keep each event in the state folder until the service has taken it, so that a crash loses none.").Default("false")
		f.Ref(&c.DeadLetter, "dead_letter", "Datastore that receives the events that the service refuses for good.", "datastore").Eg("datastore.local.rejected")
	}
	f.Duration(&c.Timeout, "timeout", "Longest time of one operation; when absent, only an operation that stalls is ended.").Eg(`"5m"`).
		Validate(func() error { return positive("timeout", int64(c.Timeout), "5m") })
	f.Int(&c.MaxAttempts, "max_attempts", "How often a request is tried, the first time included.").Eg("5").
		Validate(func() error { return between("max_attempts", c.MaxAttempts, 1, 100) })
	f.Int(&c.MaxConcurrency, "max_concurrency", "Requests that may run at once.").Eg("16").
		Validate(func() error { return between("max_concurrency", c.MaxConcurrency, 1, 10000) })
	f.Path(&c.CAFile, "ca_file", "PEM file of certificate authorities to trust instead of the system's.").Eg(`"ca.pem"`)
	f.Bool(&c.Insecure, "insecure", "Do not check the server's certificate. Each use gives a warning.").Default("false")
}

// checkPrefix refuses prefixes that could not be compared with keys byte by byte.
func checkPrefix(p string) error {
	for i, s := range strings.Split(p, "/") {
		switch {
		case s == "." || s == "..":
			return fmt.Errorf("The prefix %q has a segment %q, which services normalise in different ways: write it without.", p, s)
		case s == "" && i == 0 && p != "":
			return fmt.Errorf("The prefix %q starts with a slash, and keys do not: write %q.", p, strings.TrimLeft(p, "/"))
		}
	}
	return nil
}

func positive(name string, v int64, example string) error {
	if v <= 0 {
		return fmt.Errorf("%q must be longer than nothing, such as %q.", name, example)
	}
	return nil
}

func between(name string, v, lo, hi int64) error {
	if v < lo || v > hi {
		return fmt.Errorf("%q is %d: it must be from %d to %d.", name, v, lo, hi)
	}
	return nil
}
