package groupcommit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// memoryRoot is a file system in memory, where there is one.
const memoryRoot = "/dev/shm"

// Staging is where the broker keeps the copy of a batch that it makes until the
// batch is whole, and which it reads again when it was killed in between: links
// in its folder that lead into memory. On disk that copy costs more than the batch
// saves, and it need not outlive the machine: what of a batch is confirmed is
// synced in the stream itself, and nobody relies on all of a batch being there.
//
// Prepare it before the broker starts, Begin when the streams stand, End it when
// the broker has stopped. It is not for concurrent use.
type Staging struct {
	version string // of the broker
	dir     string
	root    string // in memory
	streams []string
}

// Prepare removes links that a broker must not follow when it starts: those of
// another folder, of which this one is a copy, those to what is somebody else's by
// now, and all where the broker is one that is not known. dir is the broker's
// folder, whose lock the caller holds. It returns an error of the file system.
func Prepare(dir string, streams ...string) (*Staging, error) {
	s, err := stagingOf(dir, streams...)
	if err == nil {
		err = s.check()
	}
	return s, err
}

func stagingOf(dir string, streams ...string) (*Staging, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := sha256.Sum256([]byte(dir))
	root := filepath.Join(memoryRoot, fmt.Sprintf("headwater-%d-%s", os.Getuid(), hex.EncodeToString(name[:8])))
	return &Staging{version: server.VERSION, dir: dir, root: root, streams: streams}, nil
}

// target is where the batches of a stream lie.
func (s *Staging) target(stream string) string { return filepath.Join(s.root, stream) }

func (s *Staging) check() error {
	root, err := os.Lstat(s.root)
	mine := err == nil && root.IsDir() && ownedByUs(root) && checkVersion(s.version) == nil
	var errs []error
	for _, stream := range s.streams {
		link := batchesOf(s.dir, stream)
		target, err := os.Readlink(link)
		if err == nil && (!mine || target != s.target(stream)) {
			errs = append(errs, os.Remove(link))
		}
	}
	return errors.Join(errs...)
}

// Begin has batches staged in memory from now on. It returns ErrLayout, with what
// to do, for a broker that is not known, and another error where there is no file
// system in memory or somebody else made the folder there. Then nothing is linked
// and messages must be appended one by one.
func (s *Staging) Begin() error {
	if err := checkVersion(s.version); err != nil {
		return err
	}
	for _, stream := range s.streams {
		if err := checkStream(s.dir, stream); err != nil {
			return err
		}
	}
	// What a process left that was killed has been read by the broker's start.
	if err := os.RemoveAll(s.root); err != nil {
		return err
	}
	if err := os.Mkdir(s.root, 0o700); err != nil {
		return err
	}
	for _, stream := range s.streams {
		link, target := batchesOf(s.dir, stream), s.target(stream)
		if err := errors.Join(os.RemoveAll(link), os.Mkdir(target, 0o700), os.Symlink(target, link)); err != nil {
			return errors.Join(err, s.End())
		}
	}
	return nil
}

// End removes the links and what they lead to. It returns errors of the file
// system.
func (s *Staging) End() error {
	var errs []error
	for _, stream := range s.streams {
		if link := batchesOf(s.dir, stream); isLink(link) {
			errs = append(errs, os.Remove(link))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.root))...)
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}
