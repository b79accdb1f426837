package groupcommit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// knownVersion is the nats-server whose store layout is known.
// TestTheBrokersLayout checks its behaviour.
const knownVersion = "2.15.2"

// ErrLayout says that the broker does not store batches where this build expects
// them. Messages are then appended one by one, which is as safe and slower.
var ErrLayout = errors.New("the broker's store is not laid out as group commit knows it")

// batchesOf returns the folder in which the broker stages the batches of a
// stream, by folder, account and stream. The broker does not export this path.
func batchesOf(dir, stream string) string {
	return filepath.Join(streamOf(dir, stream), "batches")
}

func streamOf(dir, stream string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", stream)
}

// checkVersion returns ErrLayout for a broker of any other version.
func checkVersion(version string) error {
	if version != knownVersion {
		return fmt.Errorf("%w: this is nats-server %s, and %s is known; build with that one, or see in bus/groupcommit/DESIGN.md what another must keep", ErrLayout, version, knownVersion)
	}
	return nil
}

// checkStream returns ErrLayout if a stream's folder lacks messages or settings,
// or has something unexpected in place of the batches.
func checkStream(dir, stream string) error {
	at := streamOf(dir, stream)
	for _, name := range []string{"meta.inf", "msgs"} {
		if _, err := os.Stat(filepath.Join(at, name)); err != nil {
			return fmt.Errorf("%w: %w; build with nats-server %s", ErrLayout, err, knownVersion)
		}
	}
	info, err := os.Lstat(batchesOf(dir, stream))
	if err == nil && !info.IsDir() && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%w: %s is not a folder; remove it while the service is stopped", ErrLayout, batchesOf(dir, stream))
	}
	return nil
}
