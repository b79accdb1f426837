// Package rig is what the works of the bench are measured with: the service as a process
// of its own, the databases beside it, the wide table in files, and two sides that run in
// turn. It knows no work and no table of results.
package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"headwater/connectors/drivertest/servers"
)

// QuickDivisor is by how much a quick run has fewer rows.
const QuickDivisor = 10

// Settings are what every work of a run is told.
type Settings struct {
	Cache   string // folder of the data that is kept; servers must be able to read below it
	Runs    int    // measured runs of each side; the median counts
	Quick   bool   // a tenth of the rows
	Program string // the service to measure, "" for one that is built from ./cmd/headwater
}

// Rig is what the works of a run share. Servers and the service are started by the
// first work that needs them. It is used by one goroutine.
type Rig struct {
	Settings
	// Postgres is the server of the run once StartPostgres has been called.
	Postgres *servers.Server

	out      io.Writer
	versions []string
	closers  []func()
	loaded   map[string]bool
	service  *Service
}

// New makes the cache, and builds the service unless there is one. What it does is
// told to out. The caller closes the rig.
func New(ctx context.Context, s Settings, out io.Writer) (*Rig, error) {
	b := &Rig{Settings: s, out: out, loaded: map[string]bool{}}
	// Servers do not run as root, and must reach their folders.
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, err
	}
	if b.Program == "" {
		b.Program = filepath.Join(b.Cache, "headwater")
		b.Say("building the service")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.Program, "./cmd/headwater")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the service: %w: %s", err, out)
		}
	}
	return b, nil
}

// Close stops what was started, in reverse. It is safe to call twice.
func (b *Rig) Close() {
	for _, c := range slices.Backward(b.closers) {
		c()
	}
	b.closers = nil
}

// OnClose has Close call f.
func (b *Rig) OnClose(f func()) { b.closers = append(b.closers, f) }

// Say tells how far the run is.
func (b *Rig) Say(format string, args ...any) {
	fmt.Fprintf(b.out, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// Rows returns the size of a table in this run, of the full one.
func (b *Rig) Rows(full int) int {
	if b.Quick {
		return full / QuickDivisor
	}
	return full
}

// Folder makes a folder of this run that is removed at its end.
func (b *Rig) Folder(name string) (string, error) {
	dir, err := os.MkdirTemp(b.Cache, "run-"+name+"-")
	if err != nil {
		return "", err
	}
	b.OnClose(func() { _ = os.RemoveAll(dir) })
	return dir, nil
}

// Uses notes a program's version for the table of results.
func (b *Rig) Uses(version string) {
	if !slices.Contains(b.versions, version) {
		b.versions = append(b.versions, version)
	}
}

// Versions returns what Uses noted.
func (b *Rig) Versions() []string { return b.versions }

// VersionOf asks a program for its version and returns the first line, "" if it fails.
func VersionOf(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
