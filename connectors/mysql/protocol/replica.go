package protocol

import (
	"encoding/binary"
	"io"
)

const (
	comBinlogDump     = 0x12
	comBinlogDumpGTID = 0x1e

	dumpNoWait = 0x01 // end at the end of the log instead of waiting for more
)

// Dump asks for the events of the binary log, as a replica does: from a place in a
// file or, with an empty name, from where the session's variables say (MariaDB).
// From then on nothing but Event may be called.
func (c *Conn) Dump(server uint32, file string, at uint32, wait bool) error {
	if c.owed {
		c.owed = false
		if _, err := c.Head(); err != nil {
			return err
		}
	}
	p := binary.LittleEndian.AppendUint32(nil, at)
	p = binary.LittleEndian.AppendUint16(p, dumpFlags(wait))
	p = binary.LittleEndian.AppendUint32(p, server)
	return c.wire.command(comBinlogDump, string(p)+file)
}

// DumpGTID is Dump of all transactions but those given, in MySQL's form.
func (c *Conn) DumpGTID(server uint32, without []byte, wait bool) error {
	const byGTID = 0x04
	p := binary.LittleEndian.AppendUint16(nil, dumpFlags(wait)|byGTID)
	p = binary.LittleEndian.AppendUint32(p, server)
	p = binary.LittleEndian.AppendUint32(p, 0) // the length of a file's name
	p = binary.LittleEndian.AppendUint64(p, 4)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(without)))
	return c.wire.command(comBinlogDumpGTID, string(append(p, without...)))
}

func dumpFlags(wait bool) uint16 {
	if wait {
		return 0
	}
	return dumpNoWait
}

// LongEvent is the error for an event beyond the limit. It was left out, and the one
// behind it comes next.
type LongEvent struct {
	Begin []byte // how it begins
	Size  int64
}

// Error returns that of ErrTooLong.
func (*LongEvent) Error() string { return ErrTooLong.Error() }

// Unwrap returns ErrTooLong.
func (*LongEvent) Unwrap() error { return ErrTooLong }

// SetLimit sets how many bytes a packet may have.
func (c *Conn) SetLimit(bytes int64) { c.wire.limit = bytes }

// Event returns the next event, valid until the next call; io.EOF at the end of a
// log that is not waited at. A *LongEvent may be followed by others, any other error
// ends it, as a *mysql.MySQLError does.
func (c *Conn) Event() ([]byte, error) {
	p, err := c.wire.packet()
	if err == ErrTooLong {
		begin, size, err := c.wire.skip()
		if err == nil && (len(begin) == 0 || begin[0] != headerOK) {
			err = ErrPacket
		}
		if err != nil {
			return nil, err
		}
		return nil, &LongEvent{Begin: begin[1:], Size: size - 1}
	}
	switch {
	case err != nil:
		return nil, err
	case len(p) > 0 && p[0] == headerOK:
		return p[1:], nil
	case isErr(p):
		return nil, serverError(p)
	case isEnd(p):
		return nil, io.EOF
	}
	return nil, ErrPacket
}
