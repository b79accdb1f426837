// Package proof compares a store with its log, and keeps and fetches snapshots of it
// that are proven to be what was kept.
package proof

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections"
)

// writeArchive writes the files of a folder, except its lock, as a tar archive.
func writeArchive(fsys vfs.FS, dir string, to io.Writer) error {
	names, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("archive %s: %w", dir, err)
	}
	out := tar.NewWriter(to)
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := writeFile(fsys, fsys.PathJoin(dir, name), name, out); err != nil {
			return fmt.Errorf("archive %s: %w", name, err)
		}
	}
	return out.Close()
}

func writeFile(fsys vfs.FS, path, name string, out *tar.Writer) (err error) {
	info, err := fsys.Stat(path)
	if err != nil || info.IsDir() {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o600}); err != nil {
		return err
	}
	f, err := fsys.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(out, f)
	return err
}

// readArchive unpacks an archive into a folder, reading it to its end. The
// archive is not trusted: it can create files in that folder only.
func readArchive(fsys vfs.FS, dir string, from io.Reader) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	in := tar.NewReader(from)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, from)
			return err
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg || !plainName(header.Name) {
			return fmt.Errorf("%w: %q is not a file of a projection", projections.ErrDamaged, header.Name)
		}
		if err := readFile(fsys, fsys.PathJoin(dir, header.Name), in); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// plainName reports whether a name has the form of Pebble's file names.
func plainName(name string) bool {
	for _, c := range name {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return name != "" && name != "LOCK" && name[0] != '.'
}

func readFile(fsys vfs.FS, path string, from io.Reader) (err error) {
	f, err := fsys.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	return f.Sync()
}
