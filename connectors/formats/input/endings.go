package input

import "strings"

// ending returns what follows the last point of a name with the point, "" where
// none is in the last part of a path.
func ending(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at < 0 || strings.IndexByte(name[at:], '/') >= 0 {
		return ""
	}
	return name[at:]
}

// WithoutCompression removes the ending of a compressed file and names the
// compression.
func WithoutCompression(name string) (string, string) {
	switch ext := strings.ToLower(ending(name)); ext {
	case ".gz", ".gzip":
		return name[:len(name)-len(ext)], "gzip"
	case ".zst", ".zstd":
		return name[:len(name)-len(ext)], "zstd"
	case ".bz2":
		return name[:len(name)-len(ext)], "bzip2"
	}
	return name, ""
}

// FormatOf returns the format that an ending means, or "".
func FormatOf(name string) string {
	switch strings.ToLower(ending(name)) {
	case ".csv", ".txt":
		return "csv"
	case ".tsv", ".tab":
		return "tsv"
	case ".json":
		return "json"
	case ".ndjson", ".jsonl":
		return "ndjson"
	case ".parquet", ".pq":
		return "parquet"
	}
	return ""
}
