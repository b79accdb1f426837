package landing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	// Registers s3:// and nothing of the other clouds.
	_ "github.com/apache/iceberg-go/io/gocloud/s3"
)

// store is where the lake's files are. Files are durable once closed.
type store interface {
	iceio.WriteFileIO
	iceio.ListableIO
}

// openStore returns the files under a directory path, a file:// URL or a bucket
// URL, with the root that names below it begin with.
func openStore(ctx context.Context, lake string, mode fs.FileMode) (store, string, error) {
	if !strings.Contains(lake, "://") && !strings.HasPrefix(lake, "file:") {
		return openDisk(lake, mode)
	}
	u, err := url.Parse(lake)
	if err != nil {
		// The error quotes the URL, which may hold a password by mistake.
		return nil, "", errors.New("the lake is neither a directory nor a URL")
	}
	if u.Scheme == "file" {
		path, err := localPath(lake)
		if err != nil {
			return nil, "", err
		}
		return openDisk(path, mode)
	}
	if u.Host == "" {
		return nil, "", fmt.Errorf("the lake %s names no bucket", u.Redacted())
	}
	if u.User != nil {
		return nil, "", errors.New("the lake's URL must hold no credentials; they come from the environment")
	}
	props, err := bucketProperties(u.Query())
	if err != nil {
		return nil, "", err
	}
	u.RawQuery, u.Fragment = "", ""
	root := strings.TrimRight(u.String(), "/")
	// The bucket keeps the context for all it does later, so it must outlive
	// the one that opens it.
	opened, err := iceio.LoadFS(context.WithoutCancel(ctx), props, root)
	if errors.Is(err, iceio.ErrIOSchemeNotFound) {
		return nil, "", fmt.Errorf("the lake must be a directory, file:// or s3://, not %s://", u.Scheme)
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

func openDisk(path string, mode fs.FileMode) (store, string, error) {
	files := disk{mode}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", storage("open the lake", err)
	}
	if err := makeDirs(path, files.dirMode()); err != nil {
		return nil, "", storage("open the lake", err)
	}
	return files, fileURL(path), nil
}

// bucketProperties turns the options of a bucket URL, named as gocloud.dev/blob
// names them, into what Iceberg's file layer knows.
func bucketProperties(query url.Values) (map[string]string, error) {
	props := map[string]string{}
	for option, values := range query {
		value := values[len(values)-1]
		switch option {
		case "endpoint":
			props[iceio.S3EndpointURL] = value
		case "region":
			props[iceio.S3Region] = value
		case "use_path_style":
			props[iceio.S3ForceVirtualAddressing] = map[bool]string{true: "false", false: "true"}[value == "true"]
		default:
			return nil, fmt.Errorf("the lake's URL has an unknown option %q; known are endpoint, region, use_path_style", option)
		}
	}
	return props, nil
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
	return found, storage("list "+root, err)
}

// remove removes files; one that is gone already is no error. It tries all of
// them and returns every failure.
func remove(files store, names ...string) error {
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
	u, err := url.Parse(lake)
	if err != nil || u.Scheme != "s3" {
		return nil
	}
	options := map[string]string{}
	for name, values := range u.Query() {
		options[name] = values[len(values)-1]
	}
	return options
}
