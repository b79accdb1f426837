// Package demodata is real public-domain data that ships with the program.
// SOURCES.md names its origin.
package demodata

import "embed"

// Files are the samples: a CSV file, a SQLite file, and a file with one JSON
// document per line.
//
//go:embed airports.csv timezones.db earthquakes.ndjson
var Files embed.FS
