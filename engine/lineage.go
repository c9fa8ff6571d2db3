package engine

import (
	"crypto/sha1"
	"fmt"
	"net/url"
	"sort"
	"strings"
)

// Addresses of the OpenLineage specification, version 2-0-2.
const (
	lineageProducer  = "https://github.com/dsrun/dsrun"
	lineageSchema    = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
	lineageOutStats  = "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
	lineageInStats   = "https://openlineage.io/spec/facets/1-0-0/InputStatisticsInputDatasetFacet.json"
	lineageErrorSpec = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json"
)

// lineage is the run as an OpenLineage RunEvent (https://openlineage.io/spec): COMPLETE or FAIL, with each datastore that
// was read or written as one dataset.
func (m *Manifest) lineage() map[string]any {
	kind, run := "COMPLETE", map[string]any{"runId": lineageRunID(m.head.RunID)}
	if m.head.Status != "ok" {
		kind = "FAIL"
		run["facets"] = map[string]any{"errorMessage": map[string]any{"_producer": lineageProducer, "_schemaURL": lineageErrorSpec,
			"message": m.head.Error, "programmingLanguage": "Starlark"}}
	}
	inputs, outputs := []any{}, []any{}
	keys := make([]placeKey, 0, len(m.places))
	for k := range m.places {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].store < keys[j].store })
	for _, k := range keys {
		p := m.places[k]
		namespace, name := lineageName(p.uri)
		stats := map[string]any{"_producer": lineageProducer, "_schemaURL": lineageInStats, "fileCount": p.objects, "size": p.bytes}
		if k.write {
			stats["_schemaURL"] = lineageOutStats
			outputs = append(outputs, map[string]any{"namespace": namespace, "name": name, "outputFacets": map[string]any{"outputStatistics": stats}})
		} else {
			inputs = append(inputs, map[string]any{"namespace": namespace, "name": name, "inputFacets": map[string]any{"inputStatistics": stats}})
		}
	}
	return map[string]any{"eventType": kind, "eventTime": m.head.Ended, "run": run,
		"job": map[string]any{"namespace": "dsrun", "name": m.head.Script}, "inputs": inputs, "outputs": outputs,
		"producer": lineageProducer, "schemaURL": lineageSchema}
}

// lineageName splits a URI into what the specification's naming rules call namespace and name: s3://bucket and path; the
// name of a whole bucket is "/". A store without URIs is its own name below the namespace of this program.
func lineageName(uri string) (namespace, name string) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || !strings.Contains(uri, "://") {
		return "dsrun", strings.TrimSuffix(uri, ":")
	}
	if u.Scheme == "file" {
		return "file", strings.TrimSuffix(u.Path, "/")
	}
	if name = strings.Trim(u.Path, "/"); name == "" {
		name = "/"
	}
	return u.Scheme + "://" + u.Host, name
}

// lineageRunID makes the UUID that the specification wants out of a run's id: version 5 of RFC 9562, in the namespace of
// URLs.
func lineageRunID(id string) string {
	namespace := [16]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	h := sha1.New()
	h.Write(namespace[:])
	h.Write([]byte(lineageProducer + "/runs/" + id))
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
