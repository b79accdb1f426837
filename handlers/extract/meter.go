package extract

import (
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
)

// meter counts what was read and not told. It is safe for concurrent use.
type meter struct {
	every time.Duration

	mu          sync.Mutex
	rows, bytes int64
	last        time.Time
	news        bool
}

func (m *meter) add(b driver.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows, m.bytes, m.news = m.rows+b.Record.NumRows(), m.bytes+b.Bytes, true
}

// due reports whether there is news, if only of a batch without rows, and
// nothing was told for a while.
func (m *meter) due() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.news && time.Since(m.last) >= m.every
}

// with adds the counts to a message, and starts anew.
func (m *meter) with(msg Message) Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	msg.Rows, msg.Bytes = m.rows, m.bytes
	m.rows, m.bytes, m.last, m.news = 0, 0, time.Now(), false
	return msg
}

// maximum follows the largest value of one column.
type maximum struct {
	column string // "" for none
	at     int
	typ    driver.Type
	value  *string
}

func maximumOf(r Request) (maximum, error) {
	if r.Largest == "" {
		return maximum{}, nil
	}
	for i, c := range r.Table.Columns {
		if c.Name == r.Largest && c.Type.Ordered() {
			return maximum{column: c.Name, at: i, typ: c.Type}, nil
		}
	}
	return maximum{}, driver.E(driver.ErrInvalidConfig, nil, "%s has no column %q with an order to go by", r.Table, r.Largest)
}

func (m *maximum) see(rec arrow.RecordBatch) error {
	if m.column == "" || rec.NumRows() == 0 {
		return nil
	}
	column := rec.Column(m.at)
	row := driver.Largest(column)
	if row < 0 {
		return nil
	}
	value := driver.FormatCursor(column, row)
	if m.value != nil {
		order, err := driver.CompareCursors(m.typ, *m.value, value)
		if err != nil || order >= 0 {
			return err
		}
	}
	m.value = &value
	return nil
}

// cursor is nil without a column, or without any value in it.
func (m *maximum) cursor() *driver.Cursor {
	if m.value == nil {
		return nil
	}
	return &driver.Cursor{Column: m.column, Value: m.value}
}
