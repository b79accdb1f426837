// Package storage is where a lake's files are: a folder, whose files are on the disk
// once closed, or a bucket. It knows names and bytes, and nothing of tables.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	iceio "github.com/apache/iceberg-go/io"

	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/parts"
)

// openLimit is how long the opening of a folder waits for it.
const openLimit = 10 * time.Second

// Store is where the lake's files are. Files are durable once closed.
type Store interface {
	iceio.WriteFileIO
	iceio.ListableIO
}

// Open returns the files under a directory path, a file:// URL or a bucket
// URL, with the root that names below it begin with.
func Open(ctx context.Context, lake string, mode fs.FileMode, limits bucket.Limits) (Store, string, error) {
	if !strings.Contains(lake, "://") && !strings.HasPrefix(lake, "file:") {
		return openDisk(ctx, lake, mode)
	}
	scheme, rest, _ := strings.Cut(lake, ":")
	if scheme == "file" {
		path, err := LocalPath(lake)
		if err != nil {
			return nil, "", err
		}
		return openDisk(ctx, path, mode)
	}
	// The URL of a bucket is raw: a key is what it says, without escapes.
	rest, query, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
	name, folder, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(name, "@"):
		return nil, "", errors.New("the lake's URL must hold no credentials; they come from the environment")
	case name == "":
		return nil, "", fmt.Errorf("the lake %s://%s names no bucket", scheme, folder)
	}
	folder, err := bucket.Path(folder)
	if err != nil {
		return nil, "", fmt.Errorf("the lake's URL: %w", err)
	}
	settings, err := bucketSettings(query)
	if err != nil {
		return nil, "", err
	}
	settings.Limits = limits
	root := strings.TrimRight(scheme+"://"+name+"/"+folder, "/")
	if scheme == "s3" {
		files, err := bucket.Open(ctx, name, settings)
		return files, root, err
	}
	opened, err := iceio.LoadFS(context.WithoutCancel(ctx), nil, root)
	if errors.Is(err, iceio.ErrIOSchemeNotFound) {
		return nil, "", fmt.Errorf("the lake must be a directory, file:// or s3://, not %s://", scheme)
	}
	if err != nil {
		return nil, "", Wrap("open "+root, err)
	}
	files, ok := opened.(Store)
	if !ok {
		return nil, "", fmt.Errorf("the lake %s cannot be written and listed", root)
	}
	return files, root, nil
}

func openDisk(ctx context.Context, path string, mode fs.FileMode) (Store, string, error) {
	files := Disk{Mode: mode}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", Wrap("open the lake", err)
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	_, err = within(files.within(ctx), "open", path, func() (struct{}, error) { return struct{}{}, makeDirs(path, files.dirMode()) })
	if err != nil && ctx.Err() == nil { // a mount that does not answer yet is told of by who asks next
		return nil, "", Wrap("open the lake", err)
	}
	return files, FileURL(path), nil
}

// Within returns files whose calls end with ctx, or false where none can.
func Within(ctx context.Context, files Store) (Store, bool) {
	switch files := files.(type) {
	case *bucket.Bucket:
		return files.Within(ctx), true
	case Disk:
		return files.within(ctx), true
	}
	return files, false
}

// bucketSettings reads the options of a bucket's URL, named as gocloud.dev/blob
// names them.
func bucketSettings(query string) (s bucket.Settings, err error) {
	options, err := url.ParseQuery(query)
	if err != nil {
		return s, errors.New("the options of the lake's URL cannot be read")
	}
	for option, values := range options {
		value := values[len(values)-1]
		switch option {
		case "endpoint":
			s.Endpoint = value
		case "region":
			s.Region = value
		case "use_path_style":
			virtual := value != "true"
			s.VirtualHost = &virtual
		default:
			return s, fmt.Errorf("the lake's URL has an unknown option %q; known are endpoint, region, use_path_style", option)
		}
	}
	return s, nil
}

// Found is a file that List found.
type Found struct {
	Name     string // full name, as it is referred to
	Base     string
	Modified time.Time
}

// List returns every file under root, at any depth. A root that does not exist
// has none. It returns parts.ErrStorage, and then no files.
func List(files Store, root string) ([]Found, error) {
	var found []Found
	if b, ok := files.(*bucket.Bucket); ok {
		objects, err := b.List(root)
		for _, o := range objects {
			found = append(found, Found{Name: o.Path, Base: path.Base(o.Path), Modified: o.Modified})
		}
		return found, Wrap("list "+root, err)
	}
	err := files.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went away meanwhile
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		found = append(found, Found{Name: name, Base: d.Name(), Modified: info.ModTime()})
		return nil
	})
	if err != nil {
		return nil, Wrap("list "+root, err) // a walk that nobody waits for may still add to found
	}
	return found, nil
}

// Remove removes files; one that is gone already is no error. It tries all of
// them and returns every failure.
func Remove(files Store, names ...string) error {
	if b, ok := files.(*bucket.Bucket); ok && len(names) > 0 {
		return Wrap("remove files", b.RemoveFiles(names))
	}
	var failed []error
	for _, name := range names {
		if err := files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return Wrap("remove files", errors.Join(failed...))
}

// Recorder remembers the files made through it, so that those of a commit that failed
// can be removed. It is safe for concurrent use.
type Recorder struct {
	Store
	mu   sync.Mutex
	made []string
}

func (r *Recorder) Create(name string) (iceio.FileWriter, error) {
	r.note(name)
	return r.Store.Create(name)
}

func (r *Recorder) WriteFile(name string, content []byte) error {
	r.note(name)
	return r.Store.WriteFile(name, content)
}

func (r *Recorder) note(name string) {
	r.mu.Lock()
	r.made = append(r.made, name)
	r.mu.Unlock()
}

// Names returns the files that were made.
func (r *Recorder) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.made)
}

// Undo removes the files that were made, and forgets them. It returns every failure.
func (r *Recorder) Undo() error {
	r.mu.Lock()
	made := slices.Clone(r.made)
	r.made = nil
	r.mu.Unlock()
	return Remove(r.Store, made...)
}

// BucketOptions returns the options of a bucket URL as they were given, nil for
// a lake that is no bucket.
func BucketOptions(lake string) map[string]string {
	rest, ok := strings.CutPrefix(lake, "s3://")
	if !ok {
		return nil
	}
	_, query, _ := strings.Cut(rest, "?") // what is before it is raw
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil
	}
	options := map[string]string{}
	for name, given := range values {
		options[name] = given[len(given)-1]
	}
	return options
}

// Wrap wraps a failure of the lake's files with parts.ErrStorage, once.
func Wrap(doing string, err error) error {
	if err == nil || errors.Is(err, parts.ErrStorage) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", parts.ErrStorage, doing, err)
}

// ReadFile returns the content of a file, or the store's error as it is.
func ReadFile(files Store, name string) ([]byte, error) { return fs.ReadFile(readable{files}, name) }

// readable lets fs.ReadFile read a store's names.
type readable struct{ Store }

func (r readable) Open(name string) (fs.File, error) { return r.Store.Open(name) }

// Below reports whether a URL is that of something in a folder.
func Below(url, folder string) bool { return strings.HasPrefix(url, folder+"/") }
