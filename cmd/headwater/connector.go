package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"

	"headwater/connectors"
	"headwater/connectors/builtin"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
)

// connectorCommand is the first argument of a child process. The service runs
// one for each source it opens; people do not call it.
const connectorCommand = "connector"

// connectorSetup is the part of the service's configuration that a child gets.
type connectorSetup struct {
	Egress    string `json:"egress"`
	Loopback  bool   `json:"loopback"` // the API listens on loopback only
	FilesRoot string `json:"files_root"`
	Of        string `json:"files_of"`
	Shared    string `json:"files_shared"`
}

// connectorPool returns the pool of the service's child processes.
func connectorPool(cfg Config, log *slog.Logger) (*extract.Pool, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to run connectors by it: %w", err)
	}
	// A newer version may replace the executable file while the service runs.
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		self = "/proc/self/exe"
	}
	root := cfg.FilesRoot
	if root != "" { // a child has another working directory
		if root, err = filepath.Abs(root); err != nil {
			return nil, fmt.Errorf("--files-root: %w", err)
		}
	}
	return extract.NewPool(extract.PoolConfig{
		Command: []string{self, connectorCommand, strconv.FormatInt(cfg.ConnectorMemory<<20, 10)},
		Setup:   connectorSetup{Egress: cfg.EgressAllow, Loopback: cfg.loopback(), FilesRoot: root, Of: cfg.filesOf(), Shared: cfg.FilesShared},
		Memory:  cfg.ConnectorMemory << 20,
		Keep:    cfg.ConnectorKeep,
		Log:     log,
	}), nil
}

// runConnector runs a child process: it opens and reads one source as in
// requests, until in ends.
func runConnector(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%s is for the service itself", connectorCommand)
	}
	memory, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("%s is for the service itself", connectorCommand)
	}
	if err := extract.Confine(memory); err != nil {
		return err
	}
	debug.SetMemoryLimit(memory / 4 * 3)
	debug.SetGCPercent(50) // batches are short-lived: half the memory for little time
	// The ballast is never touched and costs no memory, but raises the garbage
	// collector's target by half its size. A small limit has no space for it.
	ballast := make([]byte, max(0, memory-256<<20)/64)
	defer runtime.KeepAlive(ballast)
	return extract.Serve(ctx, in, out, func(raw json.RawMessage, log *slog.Logger) (extract.Opener, error) {
		var setup connectorSetup
		if err := json.Unmarshal(raw, &setup); err != nil {
			return nil, err
		}
		policy, err := connectors.ParsePolicy(setup.Egress, setup.Loopback)
		if err != nil {
			return nil, err
		}
		registry, err := connectors.New(connectors.Options{Egress: policy, FilesRoot: setup.FilesRoot, FilesOf: setup.Of, FilesShared: setup.Shared, Log: log, OpenOnly: true}, builtin.Drivers()...)
		if err != nil {
			return nil, err
		}
		return extract.LocalOpener{Log: log, OpenSource: func(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (extract.Source, error) {
			return registry.Open(ctx, extract.OrganizationOf(of), connector, public, secret, limits)
		}}, nil
	})
}
