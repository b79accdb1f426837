package extract

import (
	"sync"
	"time"

	"headwater/connectors/driver"
)

// meter counts what was read and not told. It is safe for concurrent use.
type meter struct {
	every time.Duration

	mu          sync.Mutex
	rows, bytes int64
	last        time.Time
	news        bool
	notes       []string // not told yet
	known       map[string]bool
}

// add counts a batch, of whose rows so many are taken.
func (m *meter) add(b driver.Batch, rows int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows, m.bytes, m.news = m.rows+rows, m.bytes+b.Bytes, true
	m.noteLocked(b.Notes)
}

// maxNotes bounds how many different notes of one read are told.
const maxNotes = 50

func (m *meter) noteLocked(notes []string) {
	for _, text := range notes {
		if m.known == nil {
			m.known = map[string]bool{}
		}
		if !m.known[text] && len(m.known) < maxNotes {
			m.known[text] = true
			m.notes = append(m.notes, text)
		}
	}
}

func (m *meter) note(notes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noteLocked(notes)
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
	msg.Rows, msg.Bytes, msg.Notes = m.rows, m.bytes, m.notes
	m.notes = nil
	m.rows, m.bytes, m.last, m.news = 0, 0, time.Now(), false
	return msg
}
