package sqlite

import (
	"time"

	"headwater/connectors/driver"
)

// Dividing returns a driver whose ranges are of about so many bytes.
func Dividing(bytes int64) Driver { return Driver{rangeBytes: bytes} }

// Impatient returns a driver that waits for writers only so long, with ranges of
// about so many bytes.
func Impatient(patience time.Duration, bytes int64) Driver {
	return Driver{patience: patience, rangeBytes: bytes}
}

// ByEngine has a source read every table by SQLite's engine, as it would without
// the walk of pages.
func ByEngine(src driver.Source) { src.(*source).engineOnly = true }
