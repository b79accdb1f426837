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

// memoryRoot is a file system in memory, if it exists.
const memoryRoot = "/dev/shm"

// Staging redirects the broker's staging copies of batches into memory, through
// links in its folder. The broker makes a copy until a batch is complete, and
// reads it again if it was killed in between. On disk the copy costs more than
// the batch saves. It need not survive the machine: confirmed messages are
// synced in the stream itself, and nothing relies on a whole batch being there.
//
// Call Prepare before the broker starts, Begin when the streams exist, and End
// after the broker has stopped. It is not safe for concurrent use.
type Staging struct {
	version string // of the broker
	dir     string
	root    string // in memory
	streams []string
}

// Prepare removes links that the broker must not follow when it starts: links of
// another folder of which this one is a copy, links to files that now belong to
// somebody else, and all links if the broker's version is unknown. dir is the
// broker's folder; the caller holds its lock. It returns an error of the file
// system.
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

// target is the folder in memory for the batches of a stream.
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

// Begin starts staging in memory. It returns ErrLayout, with what to do, if the
// broker's version is unknown, and another error if there is no file system in
// memory or somebody else owns the folder there. After an error nothing is
// linked, and messages must be appended one by one.
func (s *Staging) Begin() error {
	if err := checkVersion(s.version); err != nil {
		return err
	}
	for _, stream := range s.streams {
		if err := checkStream(s.dir, stream); err != nil {
			return err
		}
	}
	// The broker's start has read what a killed process left there.
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

// End removes the links and their targets. It returns errors of the file system.
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
