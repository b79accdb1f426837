//go:build !unix

package bus

import (
	"io"
	"os"
)

// lockFile opens the file without a lock: this system has no flock, so two
// processes over one folder are not detected.
func lockFile(path string) (io.Closer, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
