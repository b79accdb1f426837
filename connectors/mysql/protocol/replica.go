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

// Event returns the next event, valid until the next call; io.EOF at the end of a
// log that is not waited at. A *mysql.MySQLError ends it.
func (c *Conn) Event() ([]byte, error) {
	p, err := c.wire.packet()
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
