package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"headwater/handlers/landing/parts"
)

// errProtocol means that a child sent what makes no sense.
var errProtocol = errors.New("the connector process sent something unexpected")

// errAbandoned means that the child has ended while a file of its own was waited for.
var errAbandoned = errors.New("the connector process has ended")

// uploads are the files that the parts of one Extract are written to. take is
// called by one goroutine.
type uploads struct {
	to     []Files       // of the tables, by their numbers; nil for one without
	failed chan struct{} // closed when a file could not be written
	err    error         // of the first one, once failed
	quit   chan struct{} // closed when no more is wanted

	mu    sync.Mutex
	files map[uint32]*upload
	fails sync.Once
	quits sync.Once
}

// upload is one file. Its own goroutine writes it, so that an fsync does not
// hold up what else the child sends.
type upload struct {
	to    Files
	table int // whose number that is
	name  string
	in    chan []byte // payloads: what comes after the number is the file's
	done  chan struct{}
	size  int64 // once done
	err   error // once done
	open  bool  // in is not closed; of take alone
	// ended says the same to others: nothing waits for a file that does not end.
	ended atomic.Bool
}

// aborter is a file whose writing can be stopped while it goes on. Close then
// fails and leaves nothing.
type aborter interface{ Abort() }

func newUploads(to ...Files) *uploads {
	return &uploads{to: to, failed: make(chan struct{}), quit: make(chan struct{}), files: map[uint32]*upload{}}
}

func (u *uploads) take(kind byte, payload []byte) error {
	if len(payload) < 4 {
		return errProtocol
	}
	number := binary.LittleEndian.Uint32(payload)
	select {
	case <-u.quit:
		return nil
	default:
	}
	f := u.file(number)
	switch {
	case kind == frameCreate && f == nil:
		table := tableOf(payload[4:])
		to := u.of(table)
		if to == nil {
			return errProtocol
		}
		f = &upload{to: to, table: table, name: to.NextName(), in: make(chan []byte, 2), done: make(chan struct{}), open: true}
		u.mu.Lock()
		u.files[number] = f
		u.mu.Unlock()
		go u.write(f)
	case kind == frameBytes && f != nil && f.open:
		select {
		case f.in <- payload:
		case <-u.quit:
		}
	case kind == frameEnd && f != nil && f.open:
		f.open = false
		f.ended.Store(true)
		close(f.in)
	default:
		return errProtocol
	}
	return nil
}

// tableOf returns which table a frame names. One that names none is of the only one.
func tableOf(payload []byte) int {
	if len(payload) < 4 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(payload))
}

// of returns the files of a table, nil where nothing is wanted of it.
func (u *uploads) of(table int) Files {
	if table < 0 || table >= len(u.to) {
		return nil
	}
	return u.to[table]
}

func (u *uploads) file(number uint32) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.files[number]
}

func (u *uploads) write(f *upload) {
	defer close(f.done)
	f.size, f.err = u.save(f)
	if f.err == nil {
		return
	}
	u.fails.Do(func() {
		u.err = f.err
		close(u.failed)
	})
	for more := true; more; {
		_, more = u.next(f)
	}
}

// next returns a payload with more of a file, false when there is no more.
func (u *uploads) next(f *upload) ([]byte, bool) {
	select {
	case b, more := <-f.in:
		return b, more
	case <-u.quit:
		return nil, false
	}
}

func (u *uploads) save(f *upload) (size int64, err error) {
	w, err := f.to.Create(f.name)
	if err != nil {
		return 0, fmt.Errorf("%w: create a part: %w", parts.ErrStorage, err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-u.quit:
			if a, ok := w.(aborter); ok {
				a.Abort()
			}
		case <-ended:
		}
	}()
	for b, more := u.next(f); more; b, more = u.next(f) {
		n, err := w.Write(b[4:])
		giveUp(b)
		size += int64(n)
		if err != nil {
			w.Close()
			return size, fmt.Errorf("%w: write a part: %w", parts.ErrStorage, err)
		}
	}
	if err := w.Close(); err != nil {
		return size, fmt.Errorf("%w: finish a part: %w", parts.ErrStorage, err)
	}
	return size, nil
}

// settle waits until the files of parts are durable, and names them.
func (u *uploads) settle(made []parts.Part) error { return u.settleOf(0, made) }

// settleOf is settle for the parts of a table.
func (u *uploads) settleOf(table int, made []parts.Part) error {
	for i := range made {
		number, err := strconv.ParseUint(strings.TrimPrefix(made[i].Name, remotePrefix), 10, 32)
		if err != nil {
			return errProtocol
		}
		f := u.file(uint32(number))
		if f == nil || f.table != table || !f.ended.Load() {
			return errProtocol
		}
		select {
		case <-f.done:
		case <-u.quit:
			return errAbandoned
		}
		if f.err != nil {
			return f.err
		}
		if f.size != made[i].Size {
			return errProtocol
		}
		made[i].Name = f.name
		u.mu.Lock()
		delete(u.files, uint32(number)) // a log is read for hours
		u.mu.Unlock()
	}
	return nil
}

// abandon gives up what is not complete.
func (u *uploads) abandon() { u.quits.Do(func() { close(u.quit) }) }

// close is abandon, and waits until nothing is written any more.
func (u *uploads) close() {
	u.abandon()
	u.mu.Lock()
	files := slices.Collect(maps.Values(u.files))
	u.mu.Unlock()
	for _, f := range files {
		<-f.done
	}
}

// nameChanges settles the parts of a message of changes.
func (u *uploads) nameChanges(m *ChangesMessage) error {
	if m.Flush == nil {
		return nil
	}
	for _, t := range m.Flush.Tables {
		if u.of(t.Table) == nil {
			return errProtocol
		}
		for _, c := range t.Changes {
			for _, made := range [][]parts.Part{c.Rows, c.Gone, c.Kept} {
				if err := u.settleOf(t.Table, made); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// name settles the parts of a message.
func (u *uploads) name(m *Message) error {
	switch {
	case m.Range != nil:
		return u.settle(m.Range.Parts)
	case m.Checkpoint != nil:
		return u.settle(m.Checkpoint.Parts)
	}
	return nil
}
