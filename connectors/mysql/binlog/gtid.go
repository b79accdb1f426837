package binlog

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Flags of a MariaDB GTID event (https://mariadb.com/kb/en/gtid_event/).
const (
	flagStandalone  = 0x01 // one statement alone: no COMMIT ends it
	flagCommitID    = 0x02
	flagPreparedXA  = 0x40
	flagCompletedXA = 0x80
)

// Further flags, which are there only if one of them is set.
const (
	extraEngines  = 0x01
	extraStart    = 0x02 // an ALTER begins, whose table changes later
	extraCommit   = 0x04
	extraRollback = 0x08
)

// Transaction is what the event says that a transaction begins with.
type Transaction struct {
	Maria bool
	// Of MariaDB: seq counts within the domain, whichever server it comes from.
	Domain, Server uint32
	Seq            uint64 // of MySQL, too: counts within the server
	UUID           [16]byte
	Tag            string // of MySQL from 8.3 on, "" for none

	Standalone  bool // one statement, without BEGIN and COMMIT; MySQL does not tell
	PreparedXA  bool // it ends by XA PREPARE, and is not committed yet
	CompletedXA bool // it is the XA COMMIT or XA ROLLBACK of one before
	XID         string
	// Of an ALTER that the log has in two parts (binlog_alter_two_phase).
	AlterStarts, AlterFails bool
	Anonymous               bool // MySQL without gtid_mode
}

// String writes the transaction's GTID.
func (t Transaction) String() string {
	if t.Maria {
		return fmt.Sprintf("%d-%d-%d", t.Domain, t.Server, t.Seq)
	}
	if t.Tag != "" {
		return fmt.Sprintf("%s:%s:%d", uuidText(t.UUID), t.Tag, t.Seq)
	}
	return fmt.Sprintf("%s:%d", uuidText(t.UUID), t.Seq)
}

func uuidText(u [16]byte) string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Transaction reads the event that a transaction begins with; false for another.
func (e Event) Transaction() (t Transaction, ok bool, err error) {
	switch e.Type {
	case MariaGTIDEvent:
		t, err = e.maria()
		return t, true, err
	case GTIDEvent, AnonymousEvent:
		// Flags, the server's UUID, the number; what follows is of no use here.
		if len(e.Body) < 25 {
			return t, true, ErrEvent
		}
		copy(t.UUID[:], e.Body[1:])
		t.Seq, t.Anonymous = binary.LittleEndian.Uint64(e.Body[17:]), e.Type == AnonymousEvent
		return t, true, nil
	case TaggedGTIDEvent:
		t, err = e.tagged()
		return t, true, err
	}
	return t, false, nil
}

// Fields of a tagged GTID event. Behind them come some that are of no use here.
const (
	taggedFlags = iota
	taggedUUID
	taggedSeq
	taggedTag
)

const maxTag = 32

// tagged reads the event that a transaction with a tag begins with. Its form is that of
// MySQL's library "serialization": a version, a size, the last field that must be
// known, and fields by their numbers, all of them integers of variable length.
func (e Event) tagged() (t Transaction, err error) {
	p := e.Body
	next := func() (n uint64) {
		if err == nil {
			n, p, err = varlen(p)
		}
		return n
	}
	version, _, _ := next(), next(), next()
	if err == nil && version != 1 {
		return t, ErrEvent
	}
	for field := range uint64(taggedTag + 1) {
		if next() != field {
			return t, ErrEvent
		}
		switch field {
		case taggedFlags:
			next()
		case taggedUUID:
			for i := range t.UUID {
				t.UUID[i] = byte(next())
			}
		case taggedSeq:
			t.Seq = next() >> 1 // its lowest bit is the sign
		case taggedTag:
			n := next()
			tag, _, ok := take(p, n)
			if err != nil || !ok || n > 0 && !isTag(string(tag)) {
				return t, ErrEvent
			}
			t.Tag = string(tag)
		}
	}
	return t, err
}

// varlen reads an integer of variable length: as many ones as its first byte ends with, so
// many further bytes it has; what lies above them and a zero is the number.
func varlen(p []byte) (n uint64, rest []byte, err error) {
	if len(p) == 0 {
		return 0, nil, ErrEvent
	}
	more := bits.TrailingZeros8(^p[0])
	if len(p) < 1+more {
		return 0, nil, ErrEvent
	}
	if more == 8 {
		return binary.LittleEndian.Uint64(p[1:]), p[9:], nil
	}
	n = uint64(p[0]) >> (more + 1)
	for i, b := range p[1 : 1+more] {
		n |= uint64(b) << (7 - more + 8*i)
	}
	return n, p[1+more:], nil
}

func (e Event) maria() (Transaction, error) {
	p := e.Body
	if len(p) < 13 {
		return Transaction{}, ErrEvent
	}
	flags := p[12]
	t := Transaction{
		Maria: true, Seq: binary.LittleEndian.Uint64(p), Domain: binary.LittleEndian.Uint32(p[8:]), Server: e.Server,
		Standalone: flags&flagStandalone != 0, PreparedXA: flags&flagPreparedXA != 0, CompletedXA: flags&flagCompletedXA != 0,
	}
	p = p[13:]
	ok := true
	if flags&flagCommitID != 0 {
		_, p, ok = take(p, 8)
	}
	if t.PreparedXA || t.CompletedXA {
		if !ok || len(p) < 6 {
			return t, ErrEvent
		}
		// The format's number, two lengths, and the two parts of the name.
		n := 6 + uint64(p[4]) + uint64(p[5])
		var name []byte
		if name, p, ok = take(p, n); !ok {
			return t, ErrEvent
		}
		t.XID = string(name)
	}
	if !ok || len(p) == 0 { // short ones are filled up with zeros
		return t, nil
	}
	t.AlterStarts, t.AlterFails = p[0]&extraStart != 0, p[0]&extraRollback != 0
	return t, nil
}

// GTIDList reads the event that a file of MariaDB's log begins with: the transactions
// that lie in the files before it. It is false for another event, and for a list that
// is meant for something else.
func (e Event) GTIDList() (p Position, ok bool, err error) {
	if e.Type != GTIDListEvent {
		return p, false, nil
	}
	if len(e.Body) < 4 {
		return p, false, ErrEvent
	}
	// The upper four bits are flags, of lists that a server makes up.
	n := binary.LittleEndian.Uint32(e.Body)
	if n>>28 != 0 {
		return p, false, nil
	}
	body := e.Body[4:]
	if uint64(len(body)) < 16*uint64(n) {
		return p, false, ErrEvent
	}
	p.domains = map[uint32]domain{}
	for ; n > 0; n, body = n-1, body[16:] { // the last one of a domain is its newest
		p.domains[binary.LittleEndian.Uint32(body)] = domain{binary.LittleEndian.Uint32(body[4:]), binary.LittleEndian.Uint64(body[8:])}
	}
	return p, true, nil
}
