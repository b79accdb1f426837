package demo

import (
	"fmt"
	"os"
	"path/filepath"

	"headwater/cmd/headwater/demodata"
)

// files are the samples that file sources read.
var files = []string{"airports.csv", "timezones.db"}

// WriteFiles writes the samples into root, which it creates, and returns their
// size in bytes.
func WriteFiles(root string) (int64, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return 0, fmt.Errorf("files root: %w", err)
	}
	var total int64
	for _, name := range files {
		body, err := demodata.Files.ReadFile(name)
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
