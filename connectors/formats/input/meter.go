package input

import "headwater/connectors/driver"

// Meter passes batches on while their bytes stay under the limit of a read.
type Meter struct {
	Yield func(driver.Batch, error) bool
	Limit int64 // bytes; 0 is none
	Table driver.Table

	bytes int64
}

// Batch passes a batch on. It returns an ErrLimit for one too many, which it
// releases, and ErrStopped when the consumer wants no more.
func (m *Meter) Batch(b driver.Batch) error {
	if m.bytes += b.Bytes; m.Limit > 0 && m.bytes > m.Limit {
		b.Record.Release()
		return driver.E(driver.ErrLimit, nil, "table %s has more than %d bytes", m.Table, m.Limit)
	}
	if !m.Yield(b, nil) {
		return ErrStopped
	}
	return nil
}
