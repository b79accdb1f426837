package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// stagingRoot is a file system in memory, where there is one.
const stagingRoot = "/dev/shm"

// staging is where the broker keeps the copy of a batch that it makes until the
// batch is whole, and which it reads again when it was killed in between. On
// disk that copy costs more than the batch saves, and it need not outlive the
// machine: what of a batch is confirmed is synced in the stream itself, and that
// all of it is there is nobody's wish.
type staging struct {
	root  string
	links []string
}

// stageInMemory has the batches of streams staged in memory. dir is the broker's
// folder, whose lock is held. It fails where there is no such file system, or
// somebody else made the folder there.
func stageInMemory(dir string, streams ...string) (*staging, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := sha256.Sum256([]byte(dir))
	s := &staging{root: filepath.Join(stagingRoot, fmt.Sprintf("headwater-%d-%s", os.Getuid(), hex.EncodeToString(name[:8])))}
	// What a process left that was killed has been read by the broker's start.
	if err := os.RemoveAll(s.root); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.root, 0o700); err != nil {
		return nil, err
	}
	for _, stream := range streams {
		link := filepath.Join(dir, "jetstream", "$G", "streams", stream, "batches")
		s.links = append(s.links, link)
		target := filepath.Join(s.root, stream)
		if err := errors.Join(os.RemoveAll(link), os.Mkdir(target, 0o700), os.Symlink(target, link)); err != nil {
			return nil, errors.Join(err, s.remove())
		}
	}
	return s, nil
}

// remove ends it once the broker has stopped.
func (s *staging) remove() error {
	var errs []error
	for _, link := range s.links {
		errs = append(errs, os.RemoveAll(link))
	}
	return errors.Join(append(errs, os.RemoveAll(s.root))...)
}
