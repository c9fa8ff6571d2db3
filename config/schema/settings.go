package schema

import "time"

// Settings are the options of the `settings` block: of the whole run, not of one datastore.
type Settings struct {
	RequiredVersion string
	Timeout         time.Duration // wall clock of one run; 0 means none
	MemoryLimit     int64         // bytes; 0 means the engine's default
	MaxSteps        int64         // of a script; 0 means the engine's default
	MaxConcurrency  int64         // requests at once, all stores together; 0 means the engine's default
	SpillDir        string        // absolute; "" means the engine's default
	StateDir        string        // absolute; "" means the engine's default
	ManifestDir     string        // absolute; "" means that runs leave no manifest
	OTLPEndpoint    string        // URL of a collector of OpenTelemetry; "" reports nothing
	LogLevel        string        // debug, info, warn or error
	LogFormat       string        // text or json
}

// NewSettings returns the settings of a configuration that has no `settings` block.
func NewSettings() *Settings { return &Settings{LogLevel: "info", LogFormat: "text"} }

// Fields implements Fielder.
func (s *Settings) Fields(f *Fields) {
	f.String(&s.RequiredVersion, "required_version", "Versions of dsrun that may use this configuration.").Eg(`">= 1.2, < 2"`)
	f.Duration(&s.Timeout, "timeout", "Longest time of one run.").Eg(`"30m"`).
		Validate(func() error { return positive("timeout", int64(s.Timeout), "30m") })
	f.Size(&s.MemoryLimit, "memory_limit", "Memory that one run may take.").Eg(`"256MiB"`).
		Validate(func() error { return between("memory_limit", s.MemoryLimit, 16<<20, 1<<44) })
	f.Int(&s.MaxSteps, "max_steps", "Steps that one script may take.").Eg("50000000").
		Validate(func() error { return between("max_steps", s.MaxSteps, 1, 1<<62) })
	f.Int(&s.MaxConcurrency, "max_concurrency", "Requests that may run at once, all datastores and topics together.").Eg("64").
		Validate(func() error { return between("max_concurrency", s.MaxConcurrency, 1, 100000) })
	f.Path(&s.SpillDir, "spill_dir", "Folder for data that does not fit in memory.").Eg(`"/var/tmp/dsrun"`)
	f.Path(&s.StateDir, "state_dir", "Folder for what outlives a run: resume journals, rotated tokens, undelivered events.").Eg(`".dsrun"`)
	f.Path(&s.ManifestDir, "manifest_dir", "Folder in which each run of a script leaves its manifest, RUNID.json: what it read, wrote and published.").Eg(`"manifests"`)
	f.String(&s.OTLPEndpoint, "otlp_endpoint", "URL of a collector of OpenTelemetry that gets traces and metrics of each run, by OTLP over HTTP.").Eg(`"http://localhost:4318"`)
	f.String(&s.LogLevel, "log_level", "Least important level that is logged.").Default(`"info"`).OneOf("debug", "info", "warn", "error")
	f.String(&s.LogFormat, "log_format", "Form of the log.").Default(`"text"`).OneOf("text", "json")
}

// SettingsBody is the schema of the `settings` block.
func SettingsBody() Body {
	return Body{Block: "settings", Summary: "Settings of the whole run.", New: func() Fielder { return NewSettings() }}
}
