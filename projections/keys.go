package projections

import (
	"encoding/binary"
	"fmt"
	"strings"

	"headwater/bus/event"
)

// layout is the version of everything below and of what lies under the keys. A
// store of another layout is rebuilt from the log.
const layout = 8

// The first byte of a key says what lies under it. Texts in keys are escaped
// and ended by putText, so that no text reaches into its neighbour and one
// prefix is one scan; sequences are 8 bytes, complemented where the newest
// comes first.
const (
	keyFollowed    = 'a' // -> stream identity, layout: of this node alone
	keyMark        = 'b' // last sequence of a batch -> first: proof that no batch is missing
	keyPosition    = 'c' // -> sequence applied
	keyTime        = 'd' // span of 256 ms -> those that have an event, each with the sequence of its last
	keySource      = 'e' // org, workspace, owner, source -> Source
	keyName        = 'f' // org, workspace, owner, name -> incarnation, whether shared, source id while it lives
	keyScope       = 'g' // org, workspace, owner -> sequence of the last change, count of sources
	keyCurrent     = 'h' // org, workspace, owner, created sequence, source -> source document
	keyHistory     = 'i' // the same, ^sequence -> source document, empty once removed
	keySchema      = 'j' // org, workspace, owner, source, ^sequence, part ... -> schema documents
	keyLanded      = 'k' // org, workspace, owner, source, namespace, table -> Landed
	keySync        = 'l' // org, workspace, sync -> Sync and its document without tables
	keySyncTable   = 'm' // org, workspace, sync, namespace, table -> TableResult
	keySyncOwner   = 'n' // org, workspace, owner, ^began, sync -> nothing
	keySyncOf      = 'o' // org, workspace, owner, source, ^began, sync -> nothing
	keyOperation   = 'p' // org, workspace, operation -> Operation and its document without targets
	keyTarget      = 'q' // org, workspace, operation, index -> target document
	keyCheckpoint  = 'r' // org, workspace, owner, source, ^sequence, namespace, table -> checkpoint document
	keyRemoved     = 's' // org, workspace, owner, created sequence, source -> document of a removed source that can be restored
	keyDue         = 't' // millisecond, org, workspace, owner, source -> sequence of the SourceRemoved whose grace period ends then
	keyOperationOf = 'u' // org, workspace, owner, ^began, operation -> nothing
)

// The parts of one schema version, after its ^sequence. The entry, which can be
// long, lies apart from the head: they would share a block.
const (
	partHead  = 0 // -> document without tables
	partTable = 1 // index -> table document
	partName  = 2 // table name, index -> nothing
	partEntry = 3 // -> history entry with the diff
	partEnd   = 0xff
)

// keyTable is one row of the key table.
type keyTable struct {
	prefix byte
	name   string
	local  bool // differs between nodes of the same history: not part of Hash
}

// keyTables returns every prefix there is, in key order.
func keyTables() []keyTable {
	return []keyTable{
		{keyFollowed, "followed", true},
		{keyMark, "marks", true},
		{keyPosition, "position", false},
		{keyTime, "times", false},
		{keySource, "sources", false},
		{keyName, "names", false},
		{keyScope, "scopes", false},
		{keyCurrent, "source documents", false},
		{keyHistory, "source history", false},
		{keySchema, "schemas", false},
		{keyLanded, "landed", false},
		{keySync, "syncs", false},
		{keySyncTable, "sync tables", false},
		{keySyncOwner, "syncs by owner", false},
		{keySyncOf, "syncs by source", false},
		{keyOperation, "operations", false},
		{keyTarget, "targets", false},
		{keyCheckpoint, "checkpoints", false},
		{keyRemoved, "removed sources", false},
		{keyDue, "grace periods", false},
		{keyOperationOf, "operations by owner", false},
	}
}

// key returns prefix and the texts. There is room for a few more bytes, which
// callers append.
func key(prefix byte, texts ...string) []byte {
	size := 1 + 24
	for _, t := range texts {
		size += len(t) + 2
	}
	return appendKey(make([]byte, 0, size), prefix, texts...)
}

func appendKey(k []byte, prefix byte, texts ...string) []byte {
	k = append(k, prefix)
	for _, t := range texts {
		k = putText(k, t)
	}
	return k
}

// addressKey returns a key of one source.
func addressKey(prefix byte, a event.Address) []byte {
	return key(prefix, a.Organization, a.Workspace, a.Owner, a.Source)
}

// putText appends a text so that it is injective, ordered as the text is, and
// no prefix of another text: 0 becomes 0 255, the end is 0 1.
func putText(k []byte, text string) []byte {
	for {
		i := strings.IndexByte(text, 0)
		if i < 0 {
			return append(append(k, text...), 0, 1)
		}
		k = append(append(k, text[:i]...), 0, 0xff)
		text = text[i+1:]
	}
}

// getText reverses putText and returns what follows.
func getText(k []byte) (text string, rest []byte, err error) {
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

func putSequence(k []byte, sequence uint64) []byte { return binary.BigEndian.AppendUint64(k, sequence) }

// putNewest appends a sequence so that the newest comes first.
func putNewest(k []byte, sequence uint64) []byte { return binary.BigEndian.AppendUint64(k, ^sequence) }

func putIndex(k []byte, index int) []byte { return binary.BigEndian.AppendUint32(k, uint32(index)) }

// getSequence reads 8 bytes, 0 where there are fewer.
func getSequence(k []byte) uint64 {
	if len(k) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// after returns the first key behind every key that begins with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
