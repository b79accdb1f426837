package kvcatalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv"
)

// ErrUnknown means that it is not known whether a commit happened, because the
// catalog did not answer. The next Begin finds out.
var ErrUnknown = errors.New("it is not known whether the commit happened")

// Pointer is the value of a table's key: which metadata file is the table, and
// which worker may change it. It changes by compare-and-set only.
type Pointer struct {
	Location string `json:"metadata_location"`
	UUID     string `json:"table_uuid"`
	// Fence is the largest fence that ever began to write.
	Fence uint64 `json:"fence"`
	// Unswept means that files which no snapshot refers to may lie about.
	Unswept bool `json:"unswept,omitempty"`
	// Swept is when the last sweep began to remove what it had found.
	Swept time.Time `json:"swept,omitzero"`
	// Upkeep is the number of the last maintenance that began: what those before it
	// made and did not commit is of nobody.
	Upkeep uint64 `json:"upkeep,omitempty"`
	// UpkeepAfter is until when no other one begins by itself.
	UpkeepAfter time.Time `json:"upkeep_after,omitzero"`
	// Staged is what a sync has staged, nil for nothing.
	Staged *StagedHead `json:"staged,omitempty"`
	// Name is the table as its source calls it.
	Name string `json:"name,omitempty"`
}

// Folder is where the table lies, whichever version has made it.
func (p Pointer) Folder() string {
	return p.Location[:max(0, strings.LastIndex(p.Location, "/metadata/"))]
}

// StagedHead says where the ranges are that a sync has staged.
type StagedHead struct {
	Sync string `json:"sync"`
	// Segment is the newest file of the chain that lists them.
	Segment string `json:"segment"`
}

// Loaded is a table as one revision of its key has it.
type Loaded struct {
	Ident    table.Identifier
	Pointer  Pointer
	Revision uint64
	Meta     table.Metadata
}

// How long and how often a compare-and-set is asked about again once it was
// sent: it goes on past the caller's context, for half an answer helps nobody.
const (
	swapTries   = 4
	swapTimeout = 5 * time.Second
	swapPause   = 100 * time.Millisecond
)

// Pointer returns the value of a table's key and its revision, or an error that
// satisfies catalog.ErrNoSuchTable.
func (c *Catalog) Pointer(ctx context.Context, ident table.Identifier) (Pointer, uint64, error) {
	if len(ident) < 2 || !legal(ident) {
		return Pointer{}, 0, fmt.Errorf("%w: %v", catalog.ErrNoSuchTable, ident)
	}
	entry, err := c.kv.Get(ctx, TableKey(ident))
	if errors.Is(err, kv.ErrKeyNotFound) {
		return Pointer{}, 0, fmt.Errorf("%w: %v", catalog.ErrNoSuchTable, ident)
	}
	if err != nil {
		return Pointer{}, 0, fmt.Errorf("the catalog: %w", err)
	}
	var p Pointer
	if err := json.Unmarshal(entry.Value, &p); err != nil {
		return Pointer{}, 0, fmt.Errorf("the catalog's entry of %v: %w", ident, err)
	}
	return p, entry.Revision, nil
}

// Swap replaces the pointer of a revision. It returns kv.ErrConflict when the
// pointer has moved, and ErrUnknown when the catalog stays silent. An answer
// that never came is found out by asking for the same swap again: it conflicts
// with itself when the first one was done.
func (c *Catalog) Swap(ctx context.Context, ident table.Identifier, p Pointer, revision uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	value, err := json.Marshal(p)
	if err != nil {
		return 0, err
	}
	key := TableKey(ident)
	asked := false
	for try := 0; ; try++ {
		next, err := c.update(ctx, key, value, revision)
		if err == nil {
			return next, nil
		}
		if errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrKeyNotFound) {
			if !asked {
				return 0, fmt.Errorf("%w: %v", kv.ErrConflict, ident)
			}
			return c.ours(ctx, key, value)
		}
		asked = true
		if try == swapTries-1 {
			return 0, fmt.Errorf("%w: the catalog: %w", ErrUnknown, err)
		}
		time.Sleep(swapPause << try)
	}
}

func (c *Catalog) update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), swapTimeout)
	defer cancel()
	return c.kv.Update(ctx, key, value, revision)
}

// ours decides a swap whose first answer was lost: the pointer holds either our
// value, whose metadata file has a name of its own, or that of someone else.
func (c *Catalog) ours(ctx context.Context, key string, value []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), swapTimeout)
	defer cancel()
	entry, err := c.kv.Get(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("%w: the catalog: %w", ErrUnknown, err)
	}
	if string(entry.Value) == string(value) {
		return entry.Revision, nil
	}
	// Ours may have happened and been followed by another: only the next Begin,
	// which reads the table's history, can tell.
	return 0, fmt.Errorf("%w: the table moved on meanwhile", ErrUnknown)
}

// MetadataSuffix ends the name of a metadata file, which begins with its version:
// that of the file it replaces and one more.
const MetadataSuffix = ".metadata.json"

// MetadataVersion reads the version from a metadata file's name, -1 from others.
func MetadataVersion(location string) int {
	digits, _, _ := strings.Cut(path.Base(location), "-")
	version, err := strconv.Atoi(digits)
	if err != nil || !strings.HasSuffix(location, MetadataSuffix) {
		return -1
	}
	return version
}
