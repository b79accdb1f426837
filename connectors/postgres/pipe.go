package postgres

import (
	"context"

	"headwater/connectors/driver"
)

// chunkSize is what the network hands to the decoder at a time: a message holds
// one row, and a row alone is not worth waking anybody.
const chunkSize = 256 << 10

// pipe connects the copying goroutine with the decoding one and that with the
// consumer.
type pipe struct {
	ctx     context.Context
	full    chan []byte // rows on their way to the decoder
	free    chan []byte // buffers on their way back
	batches chan driver.Batch
	cur     []byte
	failed  error // set before full is closed
}

// Write takes one message of the COPY: one row, in full.
func (p *pipe) Write(row []byte) (int, error) {
	if len(p.cur) > 0 && len(p.cur)+len(row) > chunkSize {
		if err := p.send(); err != nil {
			return 0, err
		}
	}
	if p.cur == nil {
		select {
		case p.cur = <-p.free:
		default:
			p.cur = make([]byte, 0, chunkSize)
		}
	}
	p.cur = append(p.cur, row...)
	return len(row), nil
}

func (p *pipe) send() error {
	select {
	case p.full <- p.cur:
		p.cur = nil
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// last sends what is left.
func (p *pipe) last() {
	if len(p.cur) > 0 {
		_ = p.send() // a pipe that is done needs no rest
	}
}

// decode runs until full is closed or a row cannot be decoded.
func (p *pipe) decode(d *decoder) (err error) {
	defer func() {
		if recover() != nil {
			err = d.malformed()
		}
	}()
	for chunk := range p.full {
		if err := d.chunk(chunk); err != nil {
			return err
		}
		if cap(chunk) <= 4*chunkSize { // one huge row must not stay
			select {
			case p.free <- chunk[:0]:
			default:
			}
		}
	}
	if p.failed != nil {
		return p.failed
	}
	if p.ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(p.ctx), "stopped")
	}
	return d.finish()
}

// emit hands a batch to the consumer.
func (p *pipe) emit(b driver.Batch) error {
	select {
	case p.batches <- b:
		return nil
	case <-p.ctx.Done():
		b.Record.Release()
		return driver.E(driver.ErrTimeout, context.Cause(p.ctx), "stopped")
	}
}
