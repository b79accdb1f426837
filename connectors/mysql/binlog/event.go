// Package binlog reads the events of the binary log of MariaDB and MySQL: bytes
// that a server sent go in, transactions, tables, rows and statements come out. It
// knows no network and no table of ours. Nothing in it trusts a length: an event
// that does not add up is ErrEvent, and no event makes it hold more than Limit
// bytes.
//
// The forms are those of MariaDB's "Replication Protocol" pages
// (https://mariadb.com/kb/en/replication-protocol/, each event has its own below
// it) and of MySQL's internals (page_protocol_replication_binlog_event.html and
// classbinary__log_1_1*__event.html of dev.mysql.com/doc/dev/mysql-server). What
// only MySQL sends was not met here: there was no such server.
package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var (
	// ErrEvent is an event that is not of the form that was expected.
	ErrEvent = errors.New("an event of the binary log is not of the form that was expected")
	// ErrChecksum is an event whose checksum is not that of its bytes.
	ErrChecksum = errors.New("an event of the binary log has another checksum than its bytes")
	// ErrLimit is an event that holds more bytes, decompressed, than Limit.
	ErrLimit = errors.New("an event of the binary log is longer than the limit")
)

// Type is the type of an event.
type Type byte

// The types of events. V1 and V2 are forms of the same; those from 160 on are
// MariaDB's.
const (
	QueryEvent        Type = 2
	StopEvent         Type = 3
	RotateEvent       Type = 4
	IntvarEvent       Type = 5
	RandEvent         Type = 13
	UserVarEvent      Type = 14
	FormatEvent       Type = 15
	XIDEvent          Type = 16
	BeginLoadEvent    Type = 17
	ExecuteLoadEvent  Type = 18
	TableMapEvent     Type = 19
	WriteRowsV1       Type = 23
	UpdateRowsV1      Type = 24
	DeleteRowsV1      Type = 25
	IncidentEvent     Type = 26
	HeartbeatEvent    Type = 27
	IgnorableEvent    Type = 28
	RowsQueryEvent    Type = 29
	WriteRowsV2       Type = 30
	UpdateRowsV2      Type = 31
	DeleteRowsV2      Type = 32
	GTIDEvent         Type = 33
	AnonymousEvent    Type = 34
	PreviousEvent     Type = 35
	ContextEvent      Type = 36
	ViewChangeEvent   Type = 37
	XAPrepareEvent    Type = 38
	PartialRows       Type = 39
	PayloadEvent      Type = 40
	HeartbeatV2Event  Type = 41
	TaggedGTIDEvent   Type = 42
	AnnotateEvent     Type = 160
	CheckpointEvent   Type = 161
	MariaGTIDEvent    Type = 162
	GTIDListEvent     Type = 163
	EncryptionEvent   Type = 164
	QueryCompressed   Type = 165
	WriteCompressed1  Type = 166
	UpdateCompressed1 Type = 167
	DeleteCompressed1 Type = 168
	WriteCompressed2  Type = 169
	UpdateCompressed2 Type = 170
	DeleteCompressed2 Type = 171
)

// Flags of an event.
const (
	flagInUse     = 0x01
	flagThread    = 0x04 // its statement may use temporary tables
	flagReader    = 0x20 // made for who reads the log: it is in no file
	flagIgnorable = 0x80 // who does not know the event may leave it out
)

const (
	headerLen   = 19
	checksumLen = 4
	// DefaultLimit is what an event may hold where Limit is not set.
	DefaultLimit = 64 << 20
)

// Event is one event. Body is valid as long as the bytes that it was read from.
type Event struct {
	Type   Type
	Time   uint32 // seconds since 1970 by the server's clock; when its statement began
	Server uint32 // the id of the one that the change was made on first
	End    uint32 // where it ends in its file, by 4 GiB; 0 for one that is in no file
	Flags  uint16
	Body   []byte // without header and checksum
	Cut    bool   // only the beginning of the event is here, because it is longer than the limit
}

// Ignorable reports whether an event of a type that is not known may be left out.
func (e Event) Ignorable() bool { return e.Flags&flagIgnorable != 0 }

// ForReader reports whether the event was made for who reads the log, and is in no file.
func (e Event) ForReader() bool {
	return e.Flags&flagReader != 0 || e.Type == HeartbeatEvent || e.Type == HeartbeatV2Event
}

// Temporary reports whether the statement of a Query event may use temporary tables. In a
// procedure it is true of all that follow one that did, or that asked for CONNECTION_ID().
func (e Event) Temporary() bool { return e.Flags&flagThread != 0 }

// Reader reads the events of one log in their order. It is used by one goroutine.
// The zero value is ready.
type Reader struct {
	Limit int64 // bytes that an event may hold, 0 for DefaultLimit

	known    bool // a format was read
	checksum bool
	post     []byte // lengths of the fixed parts behind the header, by type from 1
	tables   map[uint64]*Table
	cached   map[uint64]*Table
	plain    []byte // of what came compressed
}

func (r *Reader) limit() int64 {
	if r.Limit > 0 {
		return r.Limit
	}
	return DefaultLimit
}

// Read reads one event, as it stands in a packet behind the status byte. It is
// ErrChecksum or ErrEvent for one that is damaged.
func (r *Reader) Read(p []byte) (Event, error) {
	if len(p) < headerLen {
		return Event{}, ErrEvent
	}
	e := eventOf(p)
	if uint64(binary.LittleEndian.Uint32(p[9:])) != uint64(len(p)) {
		return Event{}, ErrEvent
	}
	switch {
	case e.Type == FormatEvent:
		if err := r.format(p, &e); err != nil {
			return Event{}, err
		}
	case !r.known: // what comes before the format says by itself whether it has a checksum
		if sum(p) {
			e.Body = e.Body[:len(e.Body)-checksumLen]
		}
	case r.checksum:
		if !sum(p) {
			return Event{}, ErrChecksum
		}
		e.Body = e.Body[:len(e.Body)-checksumLen]
	}
	if e.Type == RotateEvent {
		clear(r.tables)
	}
	return e, nil
}

// Cut reads the beginning of an event that is longer than the limit. Such an event may
// only be asked for its Rows, which say of which table it is.
func (r *Reader) Cut(p []byte) (Event, error) {
	if len(p) < headerLen || !r.known {
		return Event{}, ErrEvent
	}
	e := eventOf(p)
	e.Cut = true
	return e, nil
}

// eventOf reads the header of an event.
func eventOf(p []byte) Event {
	return Event{
		Time: binary.LittleEndian.Uint32(p), Type: Type(p[4]), Server: binary.LittleEndian.Uint32(p[5:]),
		End: binary.LittleEndian.Uint32(p[13:]), Flags: binary.LittleEndian.Uint16(p[17:]), Body: p[headerLen:],
	}
}

// sum reports whether an event ends with the checksum of what is before it.
func sum(p []byte) bool {
	n := len(p) - checksumLen
	return n >= headerLen && crc32.ChecksumIEEE(p[:n]) == binary.LittleEndian.Uint32(p[n:])
}

// format reads a FORMAT_DESCRIPTION: version, the server's own, when it was made,
// the length of headers, those of the fixed parts, and the way of checksums. A file
// that is being written has a flag that its checksum does not know of.
func (r *Reader) format(p []byte, e *Event) error {
	const fixed = 2 + 50 + 4 + 1
	if len(e.Body) < fixed+int(PreviousEvent)+1+checksumLen || binary.LittleEndian.Uint16(e.Body) != 4 || e.Body[fixed-1] != headerLen {
		return fmt.Errorf("%w: the log's format is not one that is known", ErrEvent)
	}
	way := e.Body[len(e.Body)-checksumLen-1]
	switch way {
	case 0:
	case 1:
		if !sum(p) {
			cleared := bytes.Clone(p)
			cleared[17] &^= flagInUse
			if !sum(cleared) {
				return ErrChecksum
			}
		}
	default:
		return fmt.Errorf("%w: its checksums are of a kind that is not known", ErrEvent)
	}
	r.known, r.checksum = true, way == 1
	r.post = append(r.post[:0], e.Body[fixed:len(e.Body)-checksumLen-1]...)
	clear(r.tables)
	clear(r.cached)
	e.Body = e.Body[:len(e.Body)-checksumLen]
	return nil
}

// fixed returns how long the fixed part of a type of event is, or otherwise where
// the log's format does not say.
func (r *Reader) fixed(t Type, otherwise int) int {
	if i := int(t) - 1; i < len(r.post) && r.post[i] > 0 {
		return int(r.post[i])
	}
	return otherwise
}

// Starts reports whether a FORMAT_DESCRIPTION is of a file that the server began when it
// started, and not when the one before was full.
func (e Event) Starts() bool {
	const created = 2 + 50
	return e.Type == FormatEvent && len(e.Body) >= created+4 && binary.LittleEndian.Uint32(e.Body[created:]) != 0
}

// Rotate returns the file that the log goes on in, and where.
func (e Event) Rotate() (file string, at uint64, err error) {
	if e.Type != RotateEvent || len(e.Body) <= 8 {
		return "", 0, ErrEvent
	}
	return string(e.Body[8:]), binary.LittleEndian.Uint64(e.Body), nil
}

// take cuts n bytes off.
func take(p []byte, n uint64) (head, rest []byte, ok bool) {
	if n > uint64(len(p)) {
		return nil, nil, false
	}
	return p[:n:n], p[n:], true
}

// littleEndian and bigEndian read up to eight bytes.
func littleEndian(p []byte) (n uint64) {
	for i := len(p) - 1; i >= 0; i-- {
		n = n<<8 | uint64(p[i])
	}
	return n
}

func bigEndian(p []byte) (n uint64) {
	for _, c := range p {
		n = n<<8 | uint64(c)
	}
	return n
}
