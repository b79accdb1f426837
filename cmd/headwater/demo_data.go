package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
)

// demodata is real public-domain data; demodata/SOURCES.md says whose.
//
//go:embed demodata/airports.csv demodata/timezones.db demodata/earthquakes.ndjson
var demodata embed.FS

// demoFiles are the samples that file sources read.
var demoFiles = []string{"airports.csv", "timezones.db"}

// writeDemoFiles puts the samples into root, which it makes, and returns how
// many bytes they hold.
func writeDemoFiles(root string) (int64, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return 0, fmt.Errorf("files root: %w", err)
	}
	var total int64
	for _, name := range demoFiles {
		body, err := demodata.ReadFile("demodata/" + name)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(root, name), body, 0o600); err != nil {
			return 0, fmt.Errorf("files root: %w", err)
		}
		total += int64(len(body))
	}
	return total, nil
}
