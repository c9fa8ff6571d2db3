package local

import (
	"path"
	"strings"
)

// contentType guesses a media type from the suffix of a key. The list is short and our own: the system's tables differ
// from machine to machine.
func contentType(key string) string {
	if t := types[strings.ToLower(path.Ext(key))]; t != "" {
		return t
	}
	return "application/octet-stream"
}

var types = map[string]string{
	".avro": "application/avro", ".bz2": "application/x-bzip2", ".css": "text/css; charset=utf-8",
	".csv": "text/csv; charset=utf-8", ".gif": "image/gif", ".gz": "application/gzip",
	".htm": "text/html; charset=utf-8", ".html": "text/html; charset=utf-8", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
	".js": "text/javascript; charset=utf-8", ".json": "application/json", ".jsonl": "application/x-ndjson",
	".md": "text/markdown; charset=utf-8", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".ndjson": "application/x-ndjson",
	".orc": "application/vnd.apache.orc", ".parquet": "application/vnd.apache.parquet", ".pdf": "application/pdf",
	".png": "image/png", ".svg": "image/svg+xml", ".tar": "application/x-tar", ".tsv": "text/tab-separated-values; charset=utf-8",
	".txt": "text/plain; charset=utf-8", ".wav": "audio/wav", ".webp": "image/webp", ".xml": "application/xml",
	".yaml": "application/yaml", ".yml": "application/yaml", ".zip": "application/zip", ".zst": "application/zstd",
}
