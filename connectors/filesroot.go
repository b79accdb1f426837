package connectors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Each is Options.FilesOf where every organization has its own folder, whoever
// came first.
const Each = "each"

const (
	// organizationsFile lists in the files root who has come, one to a line; the
	// one that the root itself was given to has " root" behind its name.
	organizationsFile = ".organizations"
	maxOrganizations  = 1 << 20 // bytes of it
	isRoot            = " root"
)

// folderName is an organization as it names a folder: what event.Token makes of
// it.
var folderName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_=-]{1,200}$`) })

// filesRoot is the folder below which all local files lie. Each organization
// reads its own folder there and the shared one; DESIGN.md says when the whole of
// it is one organization's.
type filesRoot struct {
	path       string // "" is a folder without files
	of, shared string
}

func newFilesRoot(o Options) (filesRoot, error) {
	f := filesRoot{path: o.FilesRoot, of: o.FilesOf, shared: o.FilesShared}
	if f.path == "" {
		return f, nil
	}
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return f, fmt.Errorf("files root: %w", err)
	}
	return f, nil
}

// view opens what an organization may read. The caller closes it.
func (f filesRoot) view(organization string) (*files, error) {
	v := &files{}
	if f.path == "" {
		return v, nil
	}
	if !folderName().MatchString(organization) || organization == "_" {
		return v, nil // nobody's, or no name that could lead elsewhere
	}
	own, err := f.folder(organization)
	whole := f.of == organization
	if err == nil && own == "" && f.of == "" {
		whole = f.single(organization)
	}
	switch {
	case err != nil:
	case whole:
		v.where = "that is the folder of the service's --files-root, by default files in its data directory"
		v.own, err = os.OpenRoot(f.path)
	case f.of != "" && f.of != Each:
		v.where = "--files-of of the service gives the whole files root to another organization"
	case own == "":
		v.where = fmt.Sprintf("the files of this organization lie in the folder %[1]s of the files root (--files-root), which is not there: make it and move them into it, or start the service with --files-of %[1]s if it serves no other", organization)
	default:
		v.where = fmt.Sprintf("the files of this organization lie in the folder %s of the files root (--files-root)", organization)
		v.own, err = os.OpenRoot(own)
	}
	if err == nil && !whole && f.shared != "" {
		v.sharedName = f.shared
		v.shared, err = os.OpenRoot(filepath.Join(f.path, f.shared))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		_ = v.close()
		return nil, fmt.Errorf("files root: %w", err)
	}
	return v, nil
}

// folder returns the path of the organization's own folder, "" if there is none.
func (f filesRoot) folder(organization string) (string, error) {
	path := filepath.Join(f.path, organization)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() || organization == f.shared:
		return "", nil
	case err != nil:
		return "", err
	}
	// Where the file system takes one letter for another, acme must not read what
	// is Acme's.
	if other, err := os.Stat(filepath.Join(f.path, otherCase(organization))); err == nil && os.SameFile(info, other) && organization != otherCase(organization) {
		entries, err := os.ReadDir(f.path)
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == organization }) {
			return "", nil
		}
	}
	return path, nil
}

func otherCase(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, text)
}

// single reports whether the root was given to that organization and no other
// has come.
func (f filesRoot) single(organization string) bool {
	lines, err := comers(f.path)
	if err != nil || !slices.Contains(lines, organization+isRoot) {
		return false
	}
	for _, line := range lines {
		if strings.TrimSuffix(line, isRoot) != organization {
			return false
		}
	}
	return true
}

// comers returns the lines of the list.
func comers(root string) ([]string, error) {
	path := filepath.Join(root, organizationsFile)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxOrganizations {
		return nil, fmt.Errorf("%s is not a list of organizations", path)
	}
	text, err := os.ReadFile(path)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }), err
}

// Introduce notes in the files root that an organization has come, in the form
// that subjects have. The first one may be given the root itself. It returns the
// folder that its files lie in, "" where the root is its own or is not there.
func Introduce(root, organization string, first bool) (folder string, err error) {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return "", nil
	}
	lines, err := comers(root)
	if err != nil {
		return "", err
	}
	f := filesRoot{path: root}
	line := organization
	if first && !slices.ContainsFunc(lines, func(l string) bool { return strings.TrimSuffix(l, isRoot) != organization }) {
		line += isRoot
	}
	if folderName().MatchString(organization) && !slices.Contains(lines, line) && !slices.Contains(lines, organization+isRoot) {
		list, err := os.OpenFile(filepath.Join(root, organizationsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return "", err
		}
		// One short write, so that those of several nodes do not mix.
		_, err = list.WriteString(line + "\n")
		if err := errors.Join(err, list.Close()); err != nil {
			return "", err
		}
	}
	own, err := f.folder(organization)
	if own == "" && f.single(organization) {
		return "", err
	}
	return filepath.Join(root, organization), err
}
