package layout

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// listHead returns the fields that lists filter by. It is stored before the
// document, so that filtering decodes no JSON.
func listHead(src *Source) []byte {
	b := make([]byte, 0, 96)
	for _, text := range []string{src.Address.Source, src.Name, src.Type, src.Connector, src.Status} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b
}

// ReadListHead returns id, name, type, connector and status from the head of a
// source document, or ErrDamaged. The texts alias head.
func ReadListHead(head []byte) (texts [5][]byte, err error) {
	for i := range texts {
		n, size := binary.Uvarint(head)
		if size <= 0 || uint64(len(head)-size) < n {
			return texts, fmt.Errorf("%w: head of a source document", ErrDamaged)
		}
		texts[i], head = head[size:size+int(n)], head[size+int(n):]
	}
	return texts, nil
}

// RemovedKey returns the key of a removed, restorable source in the list of
// those.
func RemovedKey(src *Source) []byte {
	k := CurrentKey(src)
	k[0] = KeyRemoved
	return k
}

// DueKey returns the key of a removed source in the index by the end of its
// grace period, which must be set.
func DueKey(src *Source) []byte {
	a := src.Address
	k := PutSequence([]byte{KeyDue}, Millisecond(*src.Removal.DestroyedAfter))
	for _, text := range []string{a.Organization, a.Workspace, a.Owner, a.Source} {
		k = PutText(k, text)
	}
	return k
}

// Millisecond returns a time as DueKey orders it; 0 for all times before 1970.
func Millisecond(at time.Time) uint64 { return uint64(max(0, at.UnixMilli())) }

// CurrentKey returns the key of a source's document.
func CurrentKey(src *Source) []byte {
	a := src.Address
	k := PutSequence(Key(KeyCurrent, a.Organization, a.Workspace, a.Owner), src.CreatedSequence)
	return PutText(k, a.Source)
}

// HistoryKey returns the key of a source's document as of that sequence.
func HistoryKey(src *Source, sequence uint64) []byte {
	k := CurrentKey(src)
	k[0] = KeyHistory
	return PutNewest(k, sequence)
}

// sourceDocument appends the document of a source.
func sourceDocument(b []byte, src *Source) []byte {
	o := objectIn(slices.Grow(b, 800+len(src.Config)+len(src.Metadata)))
	o.Text("id", src.Address.Source)
	o.Text("name", src.Name)
	o.Text("type", src.Type)
	o.Text("connector", src.Connector)
	o.Text("scope", src.Address.Scope())
	o.TextOrNull("owner", src.Address.Owner)
	o.Text("status", src.Status)
	o.Raw("metadata", src.Metadata)
	o.Raw("config", src.Config)
	if len(src.Sync) > 0 {
		o.Raw("sync_options", src.Sync)
	}
	o.Number("tables", int64(src.Tables))
	o.Number("tables_left_out", int64(src.LeftOut))
	o.Number("records", src.Records)
	o.TextOrNull("location", src.Location)
	o.Number("config_version", int64(src.ConfigVersion))
	o.Number("schema_version", int64(src.SchemaVersion))
	o.Time("created_at", src.CreatedAt)
	o.Time("updated_at", src.UpdatedAt)
	if src.Removed {
		o.Time("removed_at", src.Removal.At)
		o.TimeOrNull("destroyed_after", src.Removal.DestroyedAfter)
	}
	o.schedule("schedule", src.Schedule)
	if src.Changes != nil {
		o.changes("changes", &src.Changes.Changes, src.Changes.Lagging)
	}
	if src.LastSync == nil {
		o.Raw("last_sync", nil)
		return o.End()
	}
	l := src.LastSync
	o.open("last_sync")
	o.outcome(l)
	o.Time("started_at", l.StartedAt)
	o.TimeOrNull("finished_at", l.FinishedAt)
	o.failure("error", l.Error)
	o.TimeOrNull("fresh_until", l.FreshUntil)
	o.close()
	return o.End()
}

// EncodeSource appends the state of a source. Its head has the created sequence
// and whether the source is removed, which the most frequent reads need. It
// fails for a time that JSON cannot represent.
func EncodeSource(b []byte, src *Source) ([]byte, error) {
	var head [9]byte
	binary.BigEndian.PutUint64(head[:], src.CreatedSequence)
	if src.Removed {
		head[8] = 1
	}
	return appendSource(appendHead(b, head[:]), src)
}

// DecodeSource reverses EncodeSource. It fails if v was not made by it.
func DecodeSource(v []byte) (src Source, err error) {
	_, state, err := Unframe(v)
	if err != nil {
		return src, err
	}
	return src, json.Unmarshal(state, &src)
}

// AppendSourceDocument appends the fields that lists filter by, framed before
// the source's document.
func AppendSourceDocument(b []byte, src *Source) []byte {
	return sourceDocument(appendHead(b, listHead(src)), src)
}
