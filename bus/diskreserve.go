package bus

import (
	"fmt"
	"log/slog"
)

// reservedBytes are what writes leave free on the embedded broker's disk, in
// bytes. A broker that meets a full disk switches JetStream off as a whole;
// refusing writes before that keeps reads and acks going.
const reservedBytes = 64 << 20

// diskReserve guards the embedded broker's disk. The zero value, used with an external
// cluster, guards nothing.
type diskReserve struct {
	dir     string
	reserve uint64
	log     *slog.Logger
}

// check returns ErrUnavailable when the disk is too full for a body of n bytes.
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
