// Package manifest is the files of a snapshot beside its data: manifests and their
// lists, read side by side, and those of one commit, merged before they are written.
package manifest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"golang.org/x/sync/errgroup"

	"headwater/handlers/landing/storage"
)

// Together is how many files are read or written side by side.
const Together = 16

// Draft is the store of one commit. Manifests and their lists are read once, and
// those that the commit makes stay in memory until it is known which of them it
// needs. Everything else passes, and is recorded.
type Draft struct {
	*storage.Recorder
	mu      sync.Mutex
	read    map[string][]byte
	drafted map[string][]byte // not written yet
}

// New returns the store of one commit over the files of a lake.
func New(files storage.Store) *Draft {
	return &Draft{Recorder: &storage.Recorder{Store: files}, read: map[string][]byte{}, drafted: map[string][]byte{}}
}

func isManifest(name string) bool { return strings.HasSuffix(name, ".avro") }

// Open answers from memory where it can.
func (d *Draft) Open(name string) (iceio.File, error) {
	if !isManifest(name) {
		return d.Recorder.Open(name)
	}
	content, ok := d.known(name)
	if !ok {
		f, err := d.Recorder.Open(name)
		if err != nil {
			return nil, err
		}
		content, err = io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		d.mu.Lock()
		d.read[name] = content
		d.mu.Unlock()
	}
	return &inMemory{bytes.NewReader(content), path.Base(name), int64(len(content))}, nil
}

func (d *Draft) known(name string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if content, ok := d.drafted[name]; ok {
		return content, true
	}
	content, ok := d.read[name]
	return content, ok
}

// Create drafts a manifest or a list of them, and makes any other file.
func (d *Draft) Create(name string) (iceio.FileWriter, error) {
	if !isManifest(name) {
		return d.Recorder.Create(name)
	}
	return &drafting{of: d, name: name}, nil
}

// Remove gives a drafted file up.
func (d *Draft) Remove(name string) error {
	d.mu.Lock()
	_, ok := d.drafted[name]
	delete(d.drafted, name)
	d.mu.Unlock()
	if ok {
		return nil
	}
	return d.Recorder.Remove(name)
}

// put drafts a file, in the place of one of the same name.
func (d *Draft) put(name string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drafted[name] = content
}

// Flush writes what is drafted, durably and side by side.
func (d *Draft) Flush() error {
	var g errgroup.Group
	g.SetLimit(Together)
	for name, content := range d.drafted {
		g.Go(func() error { return d.Recorder.WriteFile(name, content) })
	}
	return storage.Wrap("write the snapshot", g.Wait())
}

// drafting is a drafted file that is being written.
type drafting struct {
	bytes.Buffer
	of   *Draft
	name string
}

// ReadFrom appends all that r has.
func (w *drafting) ReadFrom(r io.Reader) (int64, error) { return w.Buffer.ReadFrom(r) }

// Close drafts what was written.
func (w *drafting) Close() error {
	w.of.put(w.name, slices.Clone(w.Bytes()))
	return nil
}

// inMemory is a file that was read whole.
type inMemory struct {
	*bytes.Reader
	name string
	size int64
}

func (f *inMemory) Close() error               { return nil }
func (f *inMemory) Stat() (fs.FileInfo, error) { return f, nil }
func (f *inMemory) Name() string               { return f.name }
func (f *inMemory) Size() int64                { return f.size }
func (f *inMemory) Mode() fs.FileMode          { return 0 }
func (f *inMemory) ModTime() time.Time         { return time.Time{} }
func (f *inMemory) IsDir() bool                { return false }
func (f *inMemory) Sys() any                   { return nil }
