package extract

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// follow carries a call out that is about a log of changes.
func (c *child) follow(call call) result {
	fail := func(err error) result { return result{Failure: failureOf(err)} }
	log, ok := c.session.(Capturer)
	if !ok {
		return fail(uncaptured)
	}
	switch call.kind {
	case frameCapture:
		var capture driver.Capture
		if err := json.Unmarshal(call.payload, &capture); err != nil {
			return fail(err)
		}
		got, err := log.Capture(call.ctx, capture)
		if err != nil {
			return fail(err)
		}
		r := &captureResult{Moment: got.Moment, Position: got.Position, Refused: map[int]*failure{}}
		for i, why := range got.Refused {
			r.Refused[i] = failureOf(why)
		}
		return result{Captured: r}
	case frameConfirm:
		var confirm confirmCall
		if err := json.Unmarshal(call.payload, &confirm); err != nil {
			return fail(err)
		}
		return fail(log.Confirm(call.ctx, confirm.Position))
	case frameStanding:
		s, err := log.Standing(call.ctx)
		return result{Failure: failureOf(err), Standing: &s}
	case frameHolds:
		var holds releaseCall
		if err := json.Unmarshal(call.payload, &holds); err != nil {
			return fail(err)
		}
		there, err := log.Holds(call.ctx, holds.Reader)
		return result{Failure: failureOf(err), Holds: there}
	case frameRelease:
		var release releaseCall
		if err := json.Unmarshal(call.payload, &release); err != nil {
			return fail(err)
		}
		return fail(log.Release(call.ctx, release.Reader, release.Owner))
	}
	return fail(c.changes(call, log))
}

func (c *child) changes(call call, log Capturer) error {
	var x changesCall
	if err := json.Unmarshal(call.payload, &x); err != nil {
		return err
	}
	r, err := x.request(func(table int) Files { return tableFiles{c, uint32(table)} })
	if err != nil {
		return err
	}
	for m, err := range log.Changes(call.ctx, r) {
		if err == nil {
			m.seal()
			err = c.out.sendJSON(frameChange, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// seal and unseal bring the errors of tables over the wire.
func (m *ChangesMessage) seal() {
	if m.Flush != nil {
		for i := range m.Flush.Tables {
			m.Flush.Tables[i].Failed = failureOf(m.Flush.Tables[i].Err)
		}
	}
}

func (m *ChangesMessage) unseal() {
	if m.Flush != nil {
		for i := range m.Flush.Tables {
			m.Flush.Tables[i].Err, m.Flush.Tables[i].Failed = m.Flush.Tables[i].Failed.err(), nil
		}
	}
}

// request is what a call asks for.
func (x changesCall) request(files func(table int) Files) (ChangesRequest, error) {
	r := ChangesRequest{PartSize: x.PartSize, Memory: x.Memory, TellEvery: x.TellEvery, Tables: make([]ChangedTable, len(x.Tables))}
	for i, t := range x.Tables {
		if len(t.Layout) == 0 {
			continue
		}
		layout, err := parts.UnmarshalLayout(t.Layout)
		if err != nil {
			return r, err
		}
		r.Tables[i] = ChangedTable{Table: t.Table, Layout: layout, Key: t.Key, Log: t.Log, Files: files(i)}
	}
	return r, nil
}

// call is what asks for a request.
func (r ChangesRequest) call() (changesCall, error) {
	x := changesCall{PartSize: r.PartSize, Memory: r.Memory, TellEvery: r.TellEvery, Tables: make([]changedTable, len(r.Tables))}
	for i, t := range r.Tables {
		if t.Layout.Schema == nil {
			continue
		}
		layout, err := t.Layout.Marshal()
		if err != nil {
			return x, err
		}
		x.Tables[i] = changedTable{Table: t.Table, Layout: layout, Key: t.Key, Log: t.Log}
	}
	return x, nil
}

// tableFiles sends the parts of one of several tables.
type tableFiles struct {
	*child
	table uint32
}

func (f tableFiles) Create(name string) (io.WriteCloser, error) {
	return f.create(name, binary.LittleEndian.AppendUint32(nil, f.table)...)
}

// confirming tells the source what has landed, one after the other, beside a call.
// Of those that wait the last one counts.
type confirming struct {
	mu   sync.Mutex
	next string
	done chan struct{} // closed when nothing is under way any more; nil then
}

// begin has a position be told, and returns at once.
func (c *confirming) begin(position string, tell func(position string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = position
	if c.done != nil {
		return
	}
	c.done = make(chan struct{})
	go func() {
		for {
			c.mu.Lock()
			position := c.next
			if c.next = ""; position == "" {
				close(c.done)
				c.done = nil
				c.mu.Unlock()
				return
			}
			c.mu.Unlock()
			tell(position)
		}
	}()
}

// wait returns when nothing is under way.
func (c *confirming) wait() {
	c.mu.Lock()
	done := c.done
	c.mu.Unlock()
	if done != nil {
		<-done
	}
}

// landed confirms a position while changes are read. A source that does not take it
// ends the reading.
func (c *child) landed(ctx context.Context, payload []byte, running *context.CancelCauseFunc) {
	var confirm confirmCall
	log, ok := c.session.(Capturer)
	if err := json.Unmarshal(payload, &confirm); err != nil || !ok || running == nil {
		return
	}
	c.confirms.begin(confirm.Position, func(position string) {
		if err := log.Confirm(ctx, position); err != nil {
			(*running)(fmt.Errorf("confirm what has landed: %w", err))
		}
	})
}
