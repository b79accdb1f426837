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

// stagingOf says where the batches of a broker's streams are staged in memory.
// dir is its folder, whose lock is held.
func stagingOf(dir string, streams ...string) (*staging, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := sha256.Sum256([]byte(dir))
	s := &staging{root: filepath.Join(stagingRoot, fmt.Sprintf("headwater-%d-%s", os.Getuid(), hex.EncodeToString(name[:8])))}
	for _, stream := range streams {
		s.links = append(s.links, filepath.Join(dir, "jetstream", "$G", "streams", stream, "batches"))
	}
	return s, nil
}

// target is where the batches of a link's stream lie.
func (s *staging) target(link string) string {
	return filepath.Join(s.root, filepath.Base(filepath.Dir(link)))
}

// check removes links that a broker must not follow when it starts: those of
// another folder, of which this one is a copy, and those to what is somebody
// else's by now.
func (s *staging) check() error {
	root, err := os.Lstat(s.root)
	mine := err == nil && root.IsDir() && ours(root)
	var errs []error
	for _, link := range s.links {
		target, err := os.Readlink(link)
		if err == nil && (!mine || target != s.target(link)) {
			errs = append(errs, os.Remove(link))
		}
	}
	return errors.Join(errs...)
}

// begin has batches staged in memory from now on. It fails where there is no such
// file system, or somebody else made the folder there.
func (s *staging) begin() error {
	// What a process left that was killed has been read by the broker's start.
	if err := os.RemoveAll(s.root); err != nil {
		return err
	}
	if err := os.Mkdir(s.root, 0o700); err != nil {
		return err
	}
	for _, link := range s.links {
		target := s.target(link)
		if err := errors.Join(os.RemoveAll(link), os.Mkdir(target, 0o700), os.Symlink(target, link)); err != nil {
			return errors.Join(err, s.remove())
		}
	}
	return nil
}

// remove ends it, once the broker has stopped.
func (s *staging) remove() error {
	var errs []error
	for _, link := range s.links {
		errs = append(errs, os.RemoveAll(link))
	}
	return errors.Join(append(errs, os.RemoveAll(s.root))...)
}
