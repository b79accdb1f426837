package landing

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
)

// store is where the lake's files are. Files are durable once closed.
type store interface {
	iceio.WriteFileIO
	iceio.ListableIO
}

// openStore returns the files under a directory path, a file:// URL or a bucket
// URL, with the root that names below it begin with.
func openStore(ctx context.Context, lake string, o options) (store, string, error) {
	if !strings.Contains(lake, "://") && !strings.HasPrefix(lake, "file:") {
		return openDisk(ctx, lake, o.mode)
	}
	scheme, rest, _ := strings.Cut(lake, ":")
	if scheme == "file" {
		path, err := localPath(lake)
		if err != nil {
			return nil, "", err
		}
		return openDisk(ctx, path, o.mode)
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
	settings.Limits = o.limits
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
		return nil, "", storage("open "+root, err)
	}
	files, ok := opened.(store)
	if !ok {
		return nil, "", fmt.Errorf("the lake %s cannot be written and listed", root)
	}
	return files, root, nil
}

func openDisk(ctx context.Context, path string, mode fs.FileMode) (store, string, error) {
	files := disk{mode: mode}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", storage("open the lake", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	_, err = within(files.within(ctx), "open", path, func() (struct{}, error) { return struct{}{}, makeDirs(path, files.dirMode()) })
	if err != nil && ctx.Err() == nil { // a mount that does not answer yet is told of by who asks next
		return nil, "", storage("open the lake", err)
	}
	return files, fileURL(path), nil
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

// listed is a file found by list.
type listed struct {
	name     string // full name, as it is referred to
	base     string
	modified time.Time
}

// list returns every file under root, at any depth. A root that does not exist
// has none.
func list(files store, root string) ([]listed, error) {
	var found []listed
	if b, ok := files.(*bucket.Bucket); ok {
		objects, err := b.List(root)
		for _, o := range objects {
			found = append(found, listed{name: o.Path, base: path.Base(o.Path), modified: o.Modified})
		}
		return found, storage("list "+root, err)
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
		found = append(found, listed{name: name, base: d.Name(), modified: info.ModTime()})
		return nil
	})
	if err != nil {
		return nil, storage("list "+root, err) // a walk that nobody waits for may still add to found
	}
	return found, nil
}

// remove removes files; one that is gone already is no error. It tries all of
// them and returns every failure.
func remove(files store, names ...string) error {
	if b, ok := files.(*bucket.Bucket); ok && len(names) > 0 {
		return storage("remove files", b.RemoveFiles(names))
	}
	var failed []error
	for _, name := range names {
		if err := files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return storage("remove files", errors.Join(failed...))
}

// recorder remembers the files made through it, so that what a commit that did
// not happen left behind can be removed.
type recorder struct {
	store
	mu   sync.Mutex
	made []string
}

func (r *recorder) Create(name string) (iceio.FileWriter, error) {
	r.note(name)
	return r.store.Create(name)
}

func (r *recorder) WriteFile(name string, content []byte) error {
	r.note(name)
	return r.store.WriteFile(name, content)
}

func (r *recorder) note(name string) {
	r.mu.Lock()
	r.made = append(r.made, name)
	r.mu.Unlock()
}

// names returns what was made.
func (r *recorder) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.made)
}

// undo removes what was made.
func (r *recorder) undo() error {
	r.mu.Lock()
	made := slices.Clone(r.made)
	r.made = nil
	r.mu.Unlock()
	return remove(r.store, made...)
}

// bucketOptions returns the options of a bucket URL as they were given, nil for
// a lake that is no bucket.
func bucketOptions(lake string) map[string]string {
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
