// Package drivertest is the conformance suite of connectors: one call of Run
// against the real system proves that a driver keeps the contract of package
// driver.
package drivertest

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// Null stands for a NULL in the text rows of an Expected.
const Null = "\x00NULL"

// Harness describes a driver and a source that the test has filled.
type Harness struct {
	Driver driver.Driver
	// Settings opens the source. It is marshalled to JSON.
	Settings any
	// Dial and Files are handed to the driver. A nil Dial is the plain network.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Files fs.FS
	// Secrets are values that no error may show.
	Secrets []string
	// Bad configurations must fail, at Open or at Check.
	Bad []Bad
	// Tables must all be discovered, as they are given here, and no others but
	// Large and Divided when Exact is set.
	Tables []Expected
	Exact  bool
	// Large names a table ("namespace.name") whose read takes at least five
	// batches of LargeRows/5 rows; it is left early and cancelled midway.
	Large     string
	LargeRows int
	// Divided is a table to read in ranges, for a driver whose sources are a
	// driver.Scanner.
	Divided *Divided
	// Patience bounds how long a cancelled or abandoned read may take to let go;
	// default 20 s, for a busy machine.
	Patience time.Duration
}

// Bad is a configuration that must fail with an error of Kind.
type Bad struct {
	Name     string
	Settings any
	Kind     error
}

// Expected is a table with its rows.
type Expected struct {
	// Table is compared whole with what Discover returns; a RowEstimate of 0
	// and empty SourceTypes and Comments match anything.
	Table driver.Table
	// Rows hold every row in any order, each value in the text form of Text.
	Rows [][]string
	// Cursors are columns to read incrementally by.
	Cursors []string
	// Broken tables are discovered, but reading them must fail with this kind.
	Broken error
}

// Divided is a table that a Scan divides into at least four ranges; drivers
// have a way for their tests to make ranges small.
type Divided struct {
	Table string // "namespace.name"; every row must be unlike all others
	// Write inserts, updates and deletes rows all over the table and commits. It
	// is called again and again, also while ranges are read.
	Write func(ctx context.Context) error
	// Settle waits until the source can tell that the table has not changed from then on;
	// nil where it always can.
	Settle func(ctx context.Context) error
	// Changes come between one Scan, all of which landed, and the next. Each
	// finds the table as the one before left it.
	Changes []Change
}

// Change is something that happens to a table between two Scans.
type Change struct {
	Name  string
	Apply func(ctx context.Context) error
	// Keep is how many of the landed ranges must still be kept, at least; for
	// less than all it is a demand on the driver's thrift, not on its truth.
	// KeepAll demands every one.
	Keep int
}

// KeepAll as Change.Keep: the change touches no row.
const KeepAll = -1

// Run tests a driver. Its parts run one after the other.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Patience == 0 {
		h.Patience = 20 * time.Second
	}
	t.Run("Spec", h.testSpec)
	t.Run("Check", h.testCheck)
	t.Run("Bad", h.testBad)
	t.Run("Close", h.testClose)
	t.Run("Discover", h.testDiscover)
	for _, e := range h.Tables {
		t.Run("Read/"+e.Table.String(), func(t *testing.T) { h.testRead(t, e) })
		for _, column := range e.Cursors {
			t.Run("Incremental/"+e.Table.String()+"/"+column, func(t *testing.T) { h.testIncremental(t, e, column) })
		}
	}
	t.Run("UnknownTable", h.testUnknownTable)
	if h.Large != "" {
		t.Run("Break", h.testBreak)
		t.Run("Cancel", h.testCancel)
	}
	h.testScans(t)
}

// open opens the harness's source and closes it with the test.
func (h Harness) open(t *testing.T, limits driver.Limits) driver.Source {
	t.Helper()
	src, err := h.Driver.Open(t.Context(), h.config(t, h.Settings, limits))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return src
}

func (h Harness) config(t *testing.T, settings any, limits driver.Limits) driver.Config {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	dial := h.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 20 * time.Second}).DialContext
	}
	return driver.Config{Settings: raw, Dial: dial, Files: h.Files, Limits: limits.WithDefaults(), Log: slog.New(slog.DiscardHandler)}
}

// discovered returns the table of that name.
func (h Harness) discovered(t *testing.T, src driver.Source, name string) driver.Table {
	t.Helper()
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatalf("Discover: %v", err)
	}
	for _, table := range tables {
		if table.String() == name {
			return table
		}
	}
	t.Fatalf("table %s was not discovered", name)
	return driver.Table{}
}
