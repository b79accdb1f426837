// Package views shows a lake under another root. Iceberg's files name each other
// in full, so a table that lies at file:///srv/lake can only be read as
// s3://headwater by whoever sees names that begin so: in metadata, manifest lists,
// manifests and position deletes. Files never change once they are written, so
// neither do their views, and a view is made once and kept while there is room.
package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"golang.org/x/sync/singleflight"
)

// What is kept in memory.
const (
	keptBytes  = 64 << 20 // of views
	keptNames  = 1 << 16  // whose size or kind is known
	viewTime   = time.Minute
	mostOfView = 256 << 20 // bytes of a file that is not handed on as it is
)

// Suffixes of the files that are shown. Others, such as lists of staged parts,
// are not there.
const (
	metadataSuffix = ".metadata.json"
	avroSuffix     = ".avro"
	parquetSuffix  = ".parquet"
)

// ErrDamaged means that a file is none that a table can have.
var ErrDamaged = errors.New("the file is none of a table")

// Files are the lake's files by their full names. An error of one that is not
// there satisfies fs.ErrNotExist.
type Files interface {
	Open(ctx context.Context, name string) (iceio.File, error)
	// List returns the full names of the files below a folder.
	List(ctx context.Context, folder string) ([]string, error)
}

// Views are the files below one root as they are below another. It is safe for
// concurrent use.
type Views struct {
	files    Files
	from, to string
	contents *kept[[]byte]
	sizes    *kept[int64]
	deletes  *kept[bool]
	making   singleflight.Group
}

// New returns the files below from as they are below to. Neither ends with a
// slash.
func New(files Files, from, to string) *Views {
	return &Views{
		files: files, from: from, to: to,
		contents: newKept(keptBytes, func(b []byte) int { return len(b) }),
		sizes:    newKept(keptNames, func(int64) int { return 1 }),
		deletes:  newKept(keptNames, func(bool) int { return 1 }),
	}
}

// File is one file as it is shown. The caller closes it.
type File struct {
	io.ReadSeekCloser
	Size     int64
	Modified time.Time
}

// Key returns what follows the root in the name of a file or folder; ok is false
// for one that lies elsewhere.
func (v *Views) Key(name string) (key string, ok bool) { return strings.CutPrefix(name, v.from+"/") }

// Named returns the name under which a file of the lake is shown.
func (v *Views) Named(name string) string {
	if key, ok := v.Key(name); ok {
		return v.to + "/" + key
	}
	return name
}

// Open returns the file with a key as it is shown. The error is fs.ErrNotExist for
// one that is not there, or names a file that is not there and ought to be; it is
// ErrDamaged for one that cannot be a table's.
func (v *Views) Open(ctx context.Context, key string) (*File, error) {
	if !legal(key) {
		return nil, &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	}
	name := v.from + "/" + key
	f, err := v.files.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	}
	plain := false
	if err == nil {
		plain, err = v.plain(name, f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if plain {
		return &File{whole(f), info.Size(), info.ModTime()}, nil
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	content, err := v.content(ctx, name)
	if err != nil {
		return nil, err
	}
	return &File{nothingToClose{bytes.NewReader(content)}, int64(len(content)), info.ModTime()}, nil
}

// whole returns the operating system's file where there is one, which is sent
// without being copied.
func whole(f iceio.File) io.ReadSeekCloser {
	if of, ok := f.(interface{ Unbound() *os.File }); ok {
		return of.Unbound()
	}
	return f
}

type nothingToClose struct{ io.ReadSeeker }

func (nothingToClose) Close() error { return nil }

// legal reports whether a key may be a file of a table. It has no way out of the
// root.
func legal(key string) bool {
	parts := strings.Split(key, "/")
	if len(parts) < 3 {
		return false
	}
	for _, part := range parts {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-=~.", r))
		}) {
			return false
		}
	}
	return isShown(key)
}

func isShown(name string) bool {
	return strings.HasSuffix(name, metadataSuffix) || strings.HasSuffix(name, avroSuffix) || strings.HasSuffix(name, parquetSuffix)
}

// Entry is a file of a listing.
type Entry struct {
	Key      string
	Size     int64
	Modified time.Time
}

// List returns the keys of the files below a folder that are shown, in order.
func (v *Views) List(ctx context.Context, folder string) ([]string, error) {
	names, err := v.files.List(ctx, v.from+"/"+folder)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, name := range names {
		if key, ok := v.Key(name); ok && legal(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Stat returns the size of a file as it is shown. Its error is Open's.
func (v *Views) Stat(ctx context.Context, key string) (Entry, error) {
	f, err := v.Open(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	return Entry{key, f.Size, f.Modified}, f.Close()
}

// plain reports whether a file is shown as it is: it names no others.
func (v *Views) plain(name string, f iceio.File) (bool, error) {
	if !strings.HasSuffix(name, parquetSuffix) {
		return false, nil
	}
	deletes, ok := v.deletes.get(name)
	if !ok {
		var err error
		if deletes, err = isDeletes(f); err != nil {
			return false, fmt.Errorf("%w: %s: %w", ErrDamaged, path.Base(name), err)
		}
		v.deletes.put(name, deletes)
	}
	return !deletes, nil
}

// content returns the view of a file that names others.
func (v *Views) content(ctx context.Context, name string) ([]byte, error) {
	if content, ok := v.contents.get(name); ok {
		return content, nil
	}
	done := v.making.DoChan(name, func() (any, error) {
		// Who asked first may leave while others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), viewTime)
		defer cancel()
		content, err := v.make(ctx, name)
		if err != nil {
			return nil, err
		}
		v.contents.put(name, content)
		v.sizes.put(name, int64(len(content)))
		return content, nil
	})
	select {
	case made := <-done:
		content, _ := made.Val.([]byte)
		return content, made.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (v *Views) make(ctx context.Context, name string) ([]byte, error) {
	f, err := v.files.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, mostOfView+1))
	if err != nil {
		return nil, err
	}
	if len(content) > mostOfView {
		return nil, fmt.Errorf("%w: %s is larger than %d MiB", ErrDamaged, path.Base(name), mostOfView>>20)
	}
	switch {
	case strings.HasSuffix(name, metadataSuffix):
		content, err = v.Metadata(content)
	case strings.HasSuffix(name, avroSuffix):
		content, err = v.avro(ctx, name, content)
	default:
		content, err = v.positionDeletes(ctx, content)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		err = fmt.Errorf("%w: %s: %w", ErrDamaged, path.Base(name), err)
	}
	return content, err
}

// size returns how long the view of a file is.
func (v *Views) size(ctx context.Context, name string) (int64, error) {
	if size, ok := v.sizes.get(name); ok {
		return size, nil
	}
	content, err := v.content(ctx, name)
	return int64(len(content)), err
}
