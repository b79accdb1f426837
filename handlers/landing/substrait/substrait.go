// Package substrait stands in the place of github.com/substrait-io/substrait
// v0.87.0. It holds the definitions of those functions that iceberg-go can
// translate a filter to, as they are there, and none of the hundreds of others:
// iceberg-go parses all of them in every process that links it, at its start.
package substrait

import "embed"

//go:embed extensions/*
var extensions embed.FS

// GetSubstraitExtensionsFS returns the files of definitions, in a folder named
// extensions.
func GetSubstraitExtensionsFS() embed.FS { return extensions }
