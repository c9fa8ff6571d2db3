package schema

import "time"

// The degrees of trust in a script.
const (
	TrustReviewed  = "reviewed"
	TrustUntrusted = "untrusted"
)

// Script are the options of a `script "GLOB"` block: what the scripts that match may do.
type Script struct {
	Trust   string   // TrustReviewed or TrustUntrusted
	Modules []string // nil means every module for reviewed scripts, none for untrusted ones
	Topics  []string // names; nil as for Modules
}

// NewScript returns the options of a block that says nothing.
func NewScript() *Script { return &Script{Trust: TrustReviewed} }

// Fields implements Fielder.
func (s *Script) Fields(f *Fields) {
	f.String(&s.Trust, "trust", "`reviewed` when the person who runs the script wrote or read it, else `untrusted`: then only what is granted here can be reached.").
		Default(`"reviewed"`).OneOf(TrustReviewed, TrustUntrusted)
	f.Strings(&s.Modules, "modules", "Modules that the script may use.").Eg(`["json", "time"]`)
	f.Strings(&s.Topics, "topics", "Names of the topics that the script may publish to.").Eg(`["events"]`)
}

// Grant are the options of a `store "NAME"` block inside a script block: what the script may do with that datastore.
type Grant struct {
	Ops    []string
	Prefix string
}

// GrantOps are the operations that a grant can name.
func GrantOps() []string { return []string{"list", "stat", "read", "write", "delete", "presign"} }

// Fields implements Fielder.
func (g *Grant) Fields(f *Fields) {
	f.Strings(&g.Ops, "ops", "Operations that are allowed.").Required().Eg(`["list", "read"]`).OneOf(GrantOps()...)
	f.String(&g.Prefix, "prefix", "Prefix below which they are allowed.").Eg(`"in/"`).
		Validate(func() error { return checkPrefix(g.Prefix) })
}

// ScriptLimits are the options of a `limits` block inside a script block. A zero field does not bind.
type ScriptLimits struct {
	Steps       int64
	Memory      int64 // bytes
	Timeout     time.Duration
	OpenStreams int64
	BytesOut    int64
	Requests    int64
}

// Fields implements Fielder.
func (l *ScriptLimits) Fields(f *Fields) {
	f.Int(&l.Steps, "steps", "Steps that the script may take.").Eg("50000000").
		Validate(func() error { return between("steps", l.Steps, 1, 1<<62) })
	f.Size(&l.Memory, "memory", "Memory that the script may take.").Eg(`"256MiB"`).
		Validate(func() error { return between("memory", l.Memory, 1<<20, 1<<44) })
	f.Duration(&l.Timeout, "timeout", "Longest time that the script may run.").Eg(`"5m"`).
		Validate(func() error { return positive("timeout", int64(l.Timeout), "5m") })
	f.Int(&l.OpenStreams, "open_streams", "Streams that may be open at once.").Eg("16").
		Validate(func() error { return between("open_streams", l.OpenStreams, 1, 1<<20) })
	f.Size(&l.BytesOut, "bytes_out", "Bytes that the script may write and publish.").Eg(`"1GiB"`).
		Validate(func() error { return between("bytes_out", l.BytesOut, 1, 1<<62) })
	f.Int(&l.Requests, "requests", "Requests that the script may cause.").Eg("10000").
		Validate(func() error { return between("requests", l.Requests, 1, 1<<62) })
}

// ScriptBody, GrantBody and LimitsBody are the schemas of the `script` block and the blocks inside of it.
func ScriptBody() Body {
	return Body{Block: "script", Summary: "What the scripts whose path matches a pattern may do.", New: func() Fielder { return NewScript() }}
}

// GrantBody is the schema of a `store "NAME"` block inside a script block.
func GrantBody() Body {
	return Body{Block: "store", Summary: "What the script may do with one datastore.", New: func() Fielder { return &Grant{} }}
}

// LimitsBody is the schema of the `limits` block inside a script block.
func LimitsBody() Body {
	return Body{Block: "limits", Summary: "Limits of one run of the script.", New: func() Fielder { return &ScriptLimits{} }}
}
