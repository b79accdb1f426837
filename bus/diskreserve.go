package bus

import (
	"fmt"
	"log/slog"
)

// reservedBytes is the space that writes leave free on the embedded broker's
// disk. A broker that finds the disk full switches off JetStream as a whole;
// refusing writes earlier keeps reads and acks working.
const reservedBytes = 64 << 20

// diskReserve protects the embedded broker's disk. The zero value, used with an
// external cluster, protects nothing.
type diskReserve struct {
	dir     string
	reserve uint64
	log     *slog.Logger
}

// check returns ErrUnavailable if the disk is too full for a body of n bytes.
func (r *diskReserve) check(n int) error {
	if r.dir == "" {
		return nil
	}
	free, err := freeBytes(r.dir)
	if err != nil {
		r.log.Debug("cannot tell how much disk is free", "error", err)
		return nil
	}
	if free < r.reserve+uint64(n) {
		return fmt.Errorf("%w: the disk is full: %d MiB free, and the last %d are kept for reading", ErrUnavailable, free>>20, r.reserve>>20)
	}
	return nil
}
