package reading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
)

// asOf returns the metadata file that was the table at a time before the present
// one, by way of what each says of those before it, which are few. Far back it
// begins where the files' own times say.
func (l *Reader) asOf(now Described, c chronicle, t driver.Table, at time.Time) (string, error) {
	file, older, err := c.before(l.now(), t, at)
	if err != nil || file != "" {
		return file, err
	}
	found, err := storage.List(l.files, path.Dir(now.Metadata))
	if err != nil {
		return "", err
	}
	if near, ok := l.near(found, kvcatalog.MetadataVersion(now.Metadata), at); ok {
		if file, older, err = near.before(l.now(), t, at); err != nil || file != "" {
			return file, err
		}
	}
	for file == "" {
		content, err := l.content(older)
		if err != nil {
			return "", expired(t, err)
		}
		if c, err = chronicleOf(content); err != nil {
			return "", err
		}
		if file, older, err = c.before(l.now(), t, at); err != nil {
			return "", err
		}
	}
	return file, nil
}

// near returns what a version says that is newer than a time, not far behind the
// one that was the table then. Files of one version are of commits that failed,
// but for one; each names the version before it as the others do.
func (l *Reader) near(found []storage.Found, newest int, at time.Time) (chronicle, bool) {
	versions := map[int]storage.Found{} // of several, the last that was written
	for _, f := range found {
		if v := kvcatalog.MetadataVersion(f.Base); v >= 0 && f.Modified.After(versions[v].Modified) {
			versions[v] = f
		}
	}
	v := newest
	for versions[v-1].Modified.After(at) {
		v--
	}
	for v++; v < newest; v++ { // the one behind it names that of v which did not fail
		content, err := l.content(versions[v].Name)
		if err != nil {
			continue // swept meanwhile: the way from the present one is longer
		}
		if c, err := chronicleOf(content); err == nil && c.Updated > at.UnixMilli() {
			return c, true
		}
	}
	return chronicle{}, false
}

func chronicleOf(content []byte) (c chronicle, err error) {
	err = json.Unmarshal(content, &c)
	return c, storage.Wrap("read the table's former metadata", err)
}

// before returns the file that was the table at a time before that of c, or else
// the oldest that c names. What was replaced before the grace is ErrExpired, and
// what is older than the table's first file ErrNoTable.
func (c chronicle) before(now time.Time, t driver.Table, at time.Time) (file, older string, err error) {
	replaced := c.Updated
	for i := len(c.Log) - 1; i >= 0; i-- {
		if now.Sub(time.UnixMilli(replaced)) > retain.Grace {
			return "", "", expired(t, fs.ErrNotExist)
		}
		if c.Log[i].At <= at.UnixMilli() {
			return c.Log[i].File, "", nil
		}
		replaced = c.Log[i].At
	}
	if len(c.Log) == 0 || kvcatalog.MetadataVersion(c.Log[0].File) == 0 {
		return "", "", fmt.Errorf("%w at that time: %s", ErrNoTable, t)
	}
	return "", c.Log[0].File, nil
}

// at returns a table, and the snapshot of it, as of a moment; nil for one that has
// none and is asked for as of now.
func (l *Reader) at(ctx context.Context, a event.Address, t driver.Table, now kvcatalog.Loaded, m Moment) (kvcatalog.Loaded, *table.Snapshot, error) {
	if m == (Moment{}) {
		return now, now.Meta.CurrentSnapshot(), nil
	}
	var then Described
	var err error
	if m.SnapshotID == 0 {
		then, err = l.Metadata(ctx, a, t.Namespace, t.Name, m.Time)
	} else if s := now.Meta.SnapshotByID(m.SnapshotID); s != nil {
		return now, s, nil
	} else {
		then, err = l.unlisted(ctx, a, t, now, m.SnapshotID)
	}
	if errors.Is(err, ErrNoTable) {
		return now, nil, fmt.Errorf("%w: %s", ErrNoSnapshot, t)
	}
	if err != nil {
		return now, nil, err
	}
	if now.Meta, err = table.ParseMetadataBytes(then.JSON); err != nil {
		return now, nil, storage.Wrap("read the table's former metadata", err)
	}
	now.Pointer.Location = then.Metadata
	return now, now.Meta.CurrentSnapshot(), nil
}

// unlisted returns a table as a snapshot made it that is listed no more, or
// ErrExpired. Its manifest list is there for a while, and about as old.
func (l *Reader) unlisted(ctx context.Context, a event.Address, t driver.Table, now kvcatalog.Loaded, snapshot int64) (Described, error) {
	const apart = time.Minute // the clocks of the store and of who commits, at most
	found, err := storage.List(l.files, now.Pointer.Folder()+"/metadata")
	if err != nil {
		return Described{}, err
	}
	i := slices.IndexFunc(found, func(f storage.Found) bool { return strings.HasPrefix(f.Base, fmt.Sprintf("snap-%d-", snapshot)) })
	if i < 0 {
		return Described{}, expired(t, fs.ErrNotExist)
	}
	then, err := l.Metadata(ctx, a, t.Namespace, t.Name, found[i].Modified.Add(apart))
	for err == nil {
		var c chronicle
		if c, err = chronicleOf(then.JSON); err != nil {
			break
		}
		if c.Current != nil && *c.Current == snapshot {
			return then, nil
		}
		if len(c.Log) == 0 || c.Updated < found[i].Modified.Add(-apart).UnixMilli() {
			return then, expired(t, fs.ErrNotExist) // it was never what readers saw
		}
		then.Metadata = c.Log[len(c.Log)-1].File
		if then.JSON, err = l.content(then.Metadata); err != nil {
			return then, expired(t, err)
		}
	}
	return then, err
}
