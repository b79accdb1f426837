package input

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/gzip"

	"headwater/connectors/driver"
)

// members decompresses a gzip file of one or more members. Zeros behind the last
// are what tapes and archives fill blocks up with and are left out, as gzip
// itself does; any other bytes there are an ErrBadData.
type members struct {
	name   string
	stored *bufio.Reader // of which z takes no byte behind a member
	z      *gzip.Reader
}

func newMembers(stored *bufio.Reader, name string) (*members, error) {
	z, err := gzip.NewReader(stored)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &members{name, stored, z}, nil
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		if n > 0 && err == io.EOF {
			return n, nil
		}
		if err != io.EOF {
			return n, err
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

// next begins the next member, or returns io.EOF if there is none.
func (m *members) next() error {
	b, err := m.stored.ReadByte()
	zeros := err == nil && b == 0
	for err == nil && b == 0 {
		b, err = m.stored.ReadByte()
	}
	if err != nil {
		return err
	}
	if err := m.stored.UnreadByte(); err != nil {
		return err
	}
	foreign := zeros || b != 0x1f
	if !foreign {
		err = m.z.Reset(m.stored)
	}
	if foreign || err == gzip.ErrHeader {
		return driver.E(driver.ErrBadData, nil, "%s has bytes behind its end that are no gzip data; compress it again", m.name)
	}
	m.z.Multistream(false)
	return err
}
