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

// connectorCommand is the first argument of a child process, which the service
// runs for each source it opens. It is not a command for people.
const connectorCommand = "connector"

// connectorSetup is what a child is told of the service's configuration.
type connectorSetup struct {
	Egress    string `json:"egress"`
	Loopback  bool   `json:"loopback"` // the API listens on loopback only
	FilesRoot string `json:"files_root"`
	Of        string `json:"files_of"`
	Shared    string `json:"files_shared"`
}

// connectorPool returns the children of a service.
func connectorPool(cfg Config, log *slog.Logger) (*extract.Pool, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to run connectors by it: %w", err)
	}
	// The file may be replaced by a newer version while the service runs.
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		self = "/proc/self/exe"
	}
	root := cfg.FilesRoot
	if root != "" { // a child stands in another folder
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

// runConnector is the whole life of a child: one source, as it is told on in.
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
	debug.SetGCPercent(50) // batches come and go: half the memory for little time
	// Bytes that nobody touches cost nothing and let the collector wait for half
	// as much more garbage. A small limit has no room for that.
	ballast := make([]byte, max(0, memory-256<<20)/8)
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
