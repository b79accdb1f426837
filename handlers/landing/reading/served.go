package reading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	iceio "github.com/apache/iceberg-go/io"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/views"
)

// Described is one state of a table, for readers that are none of ours.
type Described struct {
	Place
	JSON []byte // what is in the metadata file
}

// Metadata returns a table as it is now or, for a time that is not zero, as it was
// then: its metadata file of that time, whose files are still there. It returns
// ErrNoTable for one that had not landed by then, ErrExpired for one that was
// replaced since and whose files were swept, or ErrStorage.
func (l *Reader) Metadata(ctx context.Context, a event.Address, namespace, name string, at time.Time) (Described, error) {
	l = l.within(ctx)
	place, err := l.Place(ctx, a, namespace, name)
	if err != nil {
		return Described{}, err
	}
	content, err := l.content(place.Metadata)
	if errors.Is(err, fs.ErrNotExist) {
		// A commit and a sweep may have come between the two.
		if place, err = l.Place(ctx, a, namespace, name); err == nil {
			content, err = l.content(place.Metadata)
		}
	}
	if err != nil {
		return Described{}, storage.Wrap("read the table's metadata", err)
	}
	now := Described{place, content}
	if at.IsZero() {
		return now, nil
	}
	return l.former(now, driver.Table{Namespace: namespace, Name: name}, at)
}

func (l *Reader) content(name string) ([]byte, error) {
	f, err := l.files.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}

// chronicle is what metadata says of its past.
type chronicle struct {
	Updated int64  `json:"last-updated-ms"`
	Current *int64 `json:"current-snapshot-id"`
	Log     []struct {
		At   int64  `json:"timestamp-ms"`
		File string `json:"metadata-file"`
	} `json:"metadata-log"`
	Snapshots []struct {
		ID   int64  `json:"snapshot-id"`
		List string `json:"manifest-list"`
	} `json:"snapshots"`
}

// former returns a table as it was at a time.
func (l *Reader) former(now Described, t driver.Table, at time.Time) (Described, error) {
	var c chronicle
	if err := json.Unmarshal(now.JSON, &c); err != nil {
		return now, storage.Wrap("read the table's metadata", err)
	}
	then := now
	if c.Updated > at.UnixMilli() {
		var err error
		if then.Metadata, err = l.asOf(now, c, t, at); err != nil {
			return now, err
		}
		if then.JSON, err = l.content(then.Metadata); err != nil {
			return now, expired(t, err)
		}
		c = chronicle{}
		if err := json.Unmarshal(then.JSON, &c); err != nil {
			return now, storage.Wrap("read the table's former metadata", err)
		}
	}
	for _, s := range c.Snapshots {
		if c.Current != nil && s.ID == *c.Current {
			f, err := l.files.Open(s.List)
			if err != nil {
				return now, expired(t, err)
			}
			return then, storage.Wrap("read a manifest list", f.Close())
		}
	}
	return now, fmt.Errorf("%w at that time: %s", ErrNoTable, t)
}

func expired(t driver.Table, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrExpired, t)
	}
	return storage.Wrap("read the table's former metadata", err)
}

// Views returns the lake's files as readers see them who know its root by another
// name, nil for a lake in a bucket: such readers reach it themselves.
func (l *Reader) Views(as string) *views.Views {
	if _, ok := l.files.(*bucket.Bucket); ok {
		return nil
	}
	return views.New(lakeFiles{l}, l.root, as)
}

// lakeFiles are the lake's files, opened within a context.
type lakeFiles struct{ lake *Reader }

func (f lakeFiles) Open(ctx context.Context, name string) (iceio.File, error) {
	return f.lake.within(ctx).files.Open(name)
}

func (f lakeFiles) List(ctx context.Context, folder string) ([]string, error) {
	found, err := storage.List(f.lake.within(ctx).files, folder)
	names := make([]string, len(found))
	for i, one := range found {
		names[i] = one.Name
	}
	return names, err
}
