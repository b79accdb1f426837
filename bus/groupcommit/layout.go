package groupcommit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// knownVersion is the nats-server whose store was looked at. TestTheBrokersLayout
// holds it to what it does.
const knownVersion = "2.15.2"

// ErrLayout says that the broker does not keep batches where this build knows
// them. Messages are then appended one by one, as safe and slower.
var ErrLayout = errors.New("the broker's store is not laid out as group commit knows it")

// batchesOf returns where the broker stages the batches of a stream, which is
// unexported there: its folder, account, and stream.
func batchesOf(dir, stream string) string {
	return filepath.Join(streamOf(dir, stream), "batches")
}

func streamOf(dir, stream string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", stream)
}

// checkVersion refuses a broker that nobody has looked at.
func checkVersion(version string) error {
	if version != knownVersion {
		return fmt.Errorf("%w: this is nats-server %s, and %s is known; build with that one, or see in bus/groupcommit/DESIGN.md what another must keep", ErrLayout, version, knownVersion)
	}
	return nil
}

// checkStream refuses a stream's folder that is not as known: without messages
// and settings, or with something else in the place of the batches.
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
