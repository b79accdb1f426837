package protocol

import (
	"bytes"
	"encoding/binary"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/mysql/lenenc"
)

const (
	comQuery = 0x03

	headerOK     = 0x00
	headerInfile = 0xfb // in place of a column count: the server wants a file of ours
	headerEnd    = 0xfe // EOF, or the OK packet that took its place
	headerErr    = 0xff
	// Null stands in place of a field without a value.
	Null = lenenc.Null

	statusMoreResults = 0x0008
)

// isErr and isEnd know a row from the packets that may come in its place: no
// row begins with 0xff, and one that begins with 0xfe fills more than a frame.
func isErr(p []byte) bool { return len(p) > 0 && p[0] == headerErr }
func isEnd(p []byte) bool { return len(p) > 0 && p[0] == headerEnd && len(p) < maxFrame }

// serverError reads an ERR packet. It returns a *mysql.MySQLError.
func serverError(p []byte) error {
	if len(p) < 3 {
		return ErrPacket
	}
	e := &mysql.MySQLError{Number: binary.LittleEndian.Uint16(p[1:])}
	text := p[3:]
	if len(text) >= 6 && text[0] == '#' {
		copy(e.SQLState[:], text[1:6])
		text = text[6:]
	}
	e.Message = string(text)
	return e
}

// Conn is the statements and answers of one authenticated connection. It is used
// by one goroutine at a time.
type Conn struct {
	wire     *wire
	endsByOK bool   // results end by an OK packet, not by EOF
	owed     bool   // the answer to a statement was not read yet
	Warnings uint16 // of the last result that was read to its end
}

// Owe sends a statement without rows whose answer is read before the next one,
// which saves waiting for it now. It does nothing while one is owed.
func (c *Conn) Owe(statement string) error {
	if c.owed {
		return nil
	}
	c.owed = true
	return c.wire.command(comQuery, statement)
}

// Start sends a statement and reads the answer up to the first row. It returns
// the names of the result's columns, none for a statement without rows.
func (c *Conn) Start(statement string) ([]string, error) {
	if err := c.Send(statement); err != nil {
		return nil, err
	}
	return c.Head()
}

// Send sends a statement whose answer is still to be read.
func (c *Conn) Send(statement string) error {
	if c.owed {
		c.owed = false
		if _, err := c.Head(); err != nil {
			return err
		}
	}
	return c.wire.command(comQuery, statement)
}

// Head reads an answer up to its first row.
func (c *Conn) Head() ([]string, error) {
	p, err := c.wire.packet()
	switch {
	case err != nil:
		return nil, err
	case len(p) == 0, p[0] == headerInfile:
		return nil, ErrPacket
	case isErr(p):
		return nil, serverError(p)
	case p[0] == headerOK:
		_, err = ended(p, true)
		return nil, err
	}
	n, flag, ok := lenenc.Int(p)
	// MariaDB adds whether the columns' definitions follow, as they always do
	// here.
	if !ok || n == 0 || n > 1<<16 || len(flag) > 0 && flag[0] == 0 {
		return nil, ErrPacket
	}
	names := make([]string, n)
	for i := range names {
		if p, err = c.wire.packet(); err != nil {
			return nil, err
		}
		if names[i], err = columnName(p); err != nil {
			return nil, err
		}
	}
	if !c.endsByOK {
		if p, err = c.wire.packet(); err == nil && !isEnd(p) {
			err = ErrPacket
		}
	}
	return names, err
}

// columnName reads the definition of a result's column.
func columnName(p []byte) (string, error) {
	if isErr(p) {
		return "", serverError(p)
	}
	var name []byte
	var ok bool
	for range 5 { // catalog, schema, table, original table, name
		if name, p, ok = Field(p); !ok {
			return "", ErrPacket
		}
	}
	return string(bytes.ToValidUTF8(name, []byte("?"))), nil
}

// Row returns the next row's packet, valid until the next call, or nil after
// the last.
func (c *Conn) Row() ([]byte, error) {
	p, err := c.wire.packet()
	if err != nil || len(p) == 0 {
		if err == nil {
			err = ErrPacket
		}
		return nil, err
	}
	if p[0] < headerEnd {
		return p, nil
	}
	if isErr(p) {
		return nil, serverError(p)
	}
	if isEnd(p) {
		c.Warnings, err = ended(p, c.endsByOK)
		return nil, err
	}
	return p, nil
}

// ended checks an OK or EOF packet, which nothing may follow, and returns how
// many warnings the server has.
func ended(p []byte, byOK bool) (warnings uint16, err error) {
	p = p[1:]
	if byOK {
		for range 2 { // affected rows, last insert id
			var ok bool
			if _, p, ok = lenenc.Int(p); !ok {
				return 0, ErrPacket
			}
		}
		if len(p) < 2 || binary.LittleEndian.Uint16(p)&statusMoreResults != 0 {
			return 0, ErrPacket
		}
		if len(p) >= 4 {
			warnings = binary.LittleEndian.Uint16(p[2:])
		}
		return warnings, nil
	}
	if len(p) < 4 || binary.LittleEndian.Uint16(p[2:])&statusMoreResults != 0 {
		return 0, ErrPacket
	}
	return binary.LittleEndian.Uint16(p), nil
}
