package main

import (
	"net/url"
	"path/filepath"

	"github.com/dsrun/dsrun/config"
)

// The parts of SARIF 2.1.0 that are used:
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
type (
	sarifFile struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool            `json:"tool"`
		Results    []sarifResult        `json:"results"`
		Bases      map[string]sarifBase `json:"originalUriBaseIds"`
		ColumnKind string               `json:"columnKind"`
	}
	sarifBase struct {
		URI string `json:"uri"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string      `json:"id"`
		Short   sarifText   `json:"shortDescription"`
		Full    sarifText   `json:"fullDescription"`
		Help    sarifText   `json:"help"`
		Default sarifConfig `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI    string `json:"uri"`
		BaseID string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
		EndLine     int `json:"endLine,omitempty"`
		EndColumn   int `json:"endColumn,omitempty"`
	}
)

const (
	sarifRoot     = "SRCROOT"
	projectPage   = "https://github.com/dsrun/dsrun"
	invalidConfig = "invalid" // the rule of what is no lint rule: it would not run
)

// sarifLog makes a log of one run. Places are relative to the working folder, as code scanning services want them.
func sarifLog(dir string, diags []config.Diag) sarifFile {
	index := map[config.RuleID]int{}
	driver := sarifDriver{Name: "dsrun", Version: version(), InformationURI: projectPage}
	add := func(id config.RuleID, level, short, full string) {
		index[id] = len(driver.Rules)
		driver.Rules = append(driver.Rules, sarifRule{ID: string(id), Short: sarifText{short}, Full: sarifText{full},
			Help: sarifText{full + " See dsrun docs " + string(id) + "."}, Default: sarifConfig{level}})
	}
	for _, r := range config.Rules() {
		add(r.ID, r.Severity, r.Summary+".", r.Why)
	}
	add(invalidConfig, "error", "Invalid configuration or script.", "The configuration cannot be loaded, or the script cannot be run.")
	run := sarifRun{Tool: sarifTool{driver}, Results: []sarifResult{}, ColumnKind: "unicodeCodePoints",
		Bases: map[string]sarifBase{sarifRoot: {(&url.URL{Scheme: "file", Path: filepath.ToSlash(dir) + "/"}).String()}}}
	for _, d := range diags {
		id := d.Rule
		if id == "" {
			id = invalidConfig
		}
		r := sarifResult{RuleID: string(id), RuleIndex: index[id], Level: d.Severity, Message: sarifText{d.Summary + ": " + d.Detail}}
		if d.Detail == "" {
			r.Message.Text = d.Summary
		}
		if d.File != "" {
			p := sarifPhysical{Artifact: sarifPlace(d.File)}
			if d.Line > 0 {
				p.Region = &sarifRegion{StartLine: d.Line, StartColumn: d.Col, EndLine: d.EndLine, EndColumn: d.EndCol}
			}
			r.Locations = []sarifLocation{{p}}
		}
		run.Results = append(run.Results, r)
	}
	return sarifFile{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}

func sarifPlace(file string) sarifArtifact {
	if filepath.IsAbs(file) {
		return sarifArtifact{URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()}
	}
	return sarifArtifact{URI: (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath(), BaseID: sarifRoot}
}
