// Package layout defines how the read model is stored: its keys, its values, and
// the documents that clients see. It encodes them and decodes them. It knows no
// store, no clock, and not what an event means.
package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"headwater/bus/event"
)

// Version is the version of all keys and values below. A store with another
// version is rebuilt from the log.
const Version = 15

// The first byte of a key says what its value is. PutText escapes and terminates
// texts in keys, so that no text is a prefix of another and one prefix is one
// scan. Sequences have 8 bytes, complemented where the newest comes first.
const (
	KeyFollowed    = 'a' // -> stream identity, layout: of this node alone
	KeyMark        = 'b' // last sequence of a batch -> first: proof that no batch is missing
	KeyPosition    = 'c' // -> sequence applied
	KeyTime        = 'd' // span of 256 ms -> those that have an event, each with the sequence of its last
	KeySource      = 'e' // org, workspace, owner, source -> Source
	KeyName        = 'f' // org, workspace, owner, name -> incarnation, whether shared, source id while it lives
	KeyScope       = 'g' // org, workspace, owner -> sequence of the last change, count of sources
	KeyCurrent     = 'h' // org, workspace, owner, created sequence, source -> source document
	KeyHistory     = 'i' // the same, ^sequence -> source document, empty once removed
	KeySchema      = 'j' // org, workspace, owner, source, ^sequence, part ... -> schema documents
	KeyLanded      = 'k' // org, workspace, owner, source, namespace, table -> Landed
	KeySync        = 'l' // org, workspace, sync -> Sync and its document without tables
	KeySyncTable   = 'm' // org, workspace, sync, namespace, table -> TableResult
	KeySyncOwner   = 'n' // org, workspace, owner, ^began, sync -> nothing
	KeySyncOf      = 'o' // org, workspace, owner, source, ^began, sync -> nothing
	KeyOperation   = 'p' // org, workspace, operation -> Operation and its document without targets
	KeyTarget      = 'q' // org, workspace, operation, index -> target document
	KeyCheckpoint  = 'r' // org, workspace, owner, source, ^sequence, namespace, table -> checkpoint document
	KeyRemoved     = 's' // org, workspace, owner, created sequence, source -> document of a removed source that can be restored
	KeyDue         = 't' // millisecond, org, workspace, owner, source -> sequence of the SourceRemoved whose grace period ends then
	KeyOperationOf = 'u' // org, workspace, owner, ^began, operation -> nothing
	KeyRun         = 'v' // millisecond, org, workspace, owner, source -> version of its schedule, whose next run is due then
	KeyToken       = 'w' // token -> Token
	KeyTokenOf     = 'x' // org, ^created sequence, token -> nothing
)

// Parts of one schema version, after its ^sequence. The entry can be long; it is
// stored apart from the head so that the two do not share a block.
const (
	PartHead  = 0 // -> document without tables
	PartTable = 1 // index -> table document
	PartName  = 2 // table name, index -> nothing
	PartEntry = 3 // -> history entry with the diff
	PartEnd   = 0xff
)

// Table is one row of the key table.
type Table struct {
	Prefix byte
	Name   string
	Local  bool // differs between nodes with the same history; excluded from Hash
}

// Tables returns every prefix, in key order.
func Tables() []Table {
	return []Table{
		{KeyFollowed, "followed", true},
		{KeyMark, "marks", true},
		{KeyPosition, "position", false},
		{KeyTime, "times", false},
		{KeySource, "sources", false},
		{KeyName, "names", false},
		{KeyScope, "scopes", false},
		{KeyCurrent, "source documents", false},
		{KeyHistory, "source history", false},
		{KeySchema, "schemas", false},
		{KeyLanded, "landed", false},
		{KeySync, "syncs", false},
		{KeySyncTable, "sync tables", false},
		{KeySyncOwner, "syncs by owner", false},
		{KeySyncOf, "syncs by source", false},
		{KeyOperation, "operations", false},
		{KeyTarget, "targets", false},
		{KeyCheckpoint, "checkpoints", false},
		{KeyRemoved, "removed sources", false},
		{KeyDue, "grace periods", false},
		{KeyOperationOf, "operations by owner", false},
		{KeyRun, "due runs", false},
		{KeyToken, "tokens", false},
		{KeyTokenOf, "tokens by organization", false},
	}
}

// Key returns the prefix and the texts. Its capacity leaves room for a few bytes
// that callers append.
func Key(prefix byte, texts ...string) []byte {
	size := 1 + 24
	for _, t := range texts {
		size += len(t) + 2
	}
	return AppendKey(make([]byte, 0, size), prefix, texts...)
}

// AppendKey appends what Key returns.
func AppendKey(k []byte, prefix byte, texts ...string) []byte {
	k = append(k, prefix)
	for _, t := range texts {
		k = PutText(k, t)
	}
	return k
}

// AddressKey returns a key of one source.
func AddressKey(prefix byte, a event.Address) []byte {
	return Key(prefix, a.Organization, a.Workspace, a.Owner, a.Source)
}

// PutText appends a text. The encoding is injective, sorts like the text, and is
// no prefix of another: 0 becomes 0 255, and the end is 0 1.
func PutText(k []byte, text string) []byte {
	for {
		i := strings.IndexByte(text, 0)
		if i < 0 {
			return append(append(k, text...), 0, 1)
		}
		k = append(append(k, text[:i]...), 0, 0xff)
		text = text[i+1:]
	}
}

// GetText reverses PutText and returns what follows, or ErrDamaged if the text
// has no end.
func GetText(k []byte) (text string, rest []byte, err error) {
	var b []byte
	for i := 0; i+1 < len(k); i++ {
		if k[i] != 0 {
			b = append(b, k[i])
			continue
		}
		if k[i+1] == 1 {
			return string(b), k[i+2:], nil
		}
		b = append(b, 0)
		i++
	}
	return "", nil, fmt.Errorf("%w: key text without end", ErrDamaged)
}

// GetAddress reverses Key for the four texts of an address, and returns what
// follows. It fails as GetText does.
func GetAddress(k []byte, a *event.Address) (rest []byte, err error) {
	return GetTexts(k, &a.Organization, &a.Workspace, &a.Owner, &a.Source)
}

// GetTexts is GetText for one text after the other.
func GetTexts(k []byte, texts ...*string) (rest []byte, err error) {
	for _, text := range texts {
		if *text, k, err = GetText(k); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// PutSequence appends a sequence so that the oldest sorts first.
func PutSequence(k []byte, sequence uint64) []byte { return binary.BigEndian.AppendUint64(k, sequence) }

// PutNewest appends a sequence so that the newest sorts first.
func PutNewest(k []byte, sequence uint64) []byte { return binary.BigEndian.AppendUint64(k, ^sequence) }

// PutIndex appends an index so that the lowest sorts first.
func PutIndex(k []byte, index int) []byte { return binary.BigEndian.AppendUint32(k, uint32(index)) }

// GetSequence reads 8 bytes, or returns 0 if there are fewer.
func GetSequence(k []byte) uint64 {
	if len(k) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// After returns the first key after all keys that begin with prefix.
func After(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// ErrDamaged says that stored bytes fail their checksum. None of them are
// returned to readers; the next Open rebuilds the store from the log.
var ErrDamaged = errors.New("the projection is damaged")
