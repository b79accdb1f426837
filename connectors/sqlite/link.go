package sqlite

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"headwater/connectors/driver"
)

// mostLinks is how many symbolic links are followed, as many as Linux follows.
const mostLinks = 40

// resolve returns the name of the file that symbolic links lead to, because a log lies
// beside the file and not beside a link. If a name cannot be followed it is returned as
// it is: opening it then gives the error.
func resolve(files fs.FS, name string) string {
	links, ok := files.(fs.ReadLinkFS)
	if !ok {
		return name
	}
	at, rest := ".", strings.Split(name, "/")
	for followed := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return name
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		info, err := links.Lstat(next)
		if err != nil {
			return name
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := links.ReadLink(next)
		if followed++; err != nil || followed > mostLinks || path.IsAbs(target) {
			return name
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at
}

// logged returns the name beside which the logs of a file lie. If the file has several
// names in its folder (hard links), a program may have opened it by another one. seen is
// how many of its names there are.
func logged(files fs.FS, name string, info fs.FileInfo) (beside string, seen int, err error) {
	if names(info) < 2 {
		return name, 1, nil
	}
	entries, err := fs.ReadDir(files, path.Dir(name))
	if err != nil {
		return name, 1, nil
	}
	var with []string
	for _, e := range entries {
		other := path.Join(path.Dir(name), e.Name())
		if !e.Type().IsRegular() {
			continue
		}
		if found, err := fs.Stat(files, other); err != nil || !os.SameFile(info, found) {
			continue
		}
		seen++
		if filled(files, other+"-wal") || filled(files, other+"-journal") {
			with = append(with, other)
		}
	}
	switch len(with) {
	case 0:
		return name, seen, nil
	case 1:
		return with[0], seen, nil
	}
	return "", seen, driver.E(driver.ErrUnsupported, nil, "%s has several names (hard links), and logs beside more than one of them (%s, %s): programs that open one database by several names destroy it; close them and remove all names but one", name, with[0], with[1])
}

func filled(files fs.FS, name string) bool {
	info, err := fs.Stat(files, name)
	return err == nil && info.Size() > 0
}
