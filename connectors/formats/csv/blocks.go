package csv

import (
	"context"
	"errors"
	"io"
	"runtime"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// block is one part of a CSV file.
type block struct {
	data  []byte
	at    int64 // where it begins, behind what comes before the header
	first bool  // begins with the header
	short bool  // ends within a row that is too long
}

// eachBlock gives the blocks of a file to work, several at a time, and the
// results to each in order. Where the quotes of a block are not as the decoder
// wants them, the file is written anew from there on. failed returns the error of
// a result; discard gets the results that each does not see.
func eachBlock[T any](ctx context.Context, f *File, work func(*File, block) T, failed func(T) error, each func(*File, T) error, discard func(T)) error {
	type placed struct {
		result T
		block  block
	}
	var loosen int64 = -1
	var kept [][]byte // the blocks from there on, where they can be had only once
	s := f.splitter()
	s.keep = f.input.Source.Reopen == nil && f.mayLoosen()
	err := inOrder(ctx, s, func(b block) placed { return placed{work(f, b), b} }, func(p placed) error {
		if err := failed(p.result); f.loosens(err) {
			loosen, kept = p.block.at, append(kept, p.block.data)
			return input.ErrStopped
		}
		if s.keep {
			s.recycle(p.block.data)
		}
		return each(f, p.result)
	}, func(p placed) {
		discard(p.result)
		if loosen >= 0 && p.block.at > loosen {
			kept = append(kept, p.block.data)
		}
	})
	if loosen < 0 {
		return err
	}
	again, err := f.loosened(ctx, loosen, s, kept)
	if err != nil {
		return err
	}
	if !s.keep {
		defer again.input.Close()
	}
	err = inOrder(ctx, again.splitter(), func(b block) T { return work(again, b) }, func(result T) error { return each(again, result) }, discard)
	f.done, f.repeats = again.done, again.repeats
	if err == nil {
		err = again.input.Unchanged()
	}
	return err
}

// splitter returns the blocks of what is to be read.
func (f *File) splitter() *splitter {
	var r io.Reader = f.input
	if f.rest != nil {
		r = f.rest
	}
	if f.loose != nil {
		loose := &looseReader{writing: *f.loose, r: r, name: f.input.Name, max: int(f.limits.MaxRowBytes), rows: f.done, skip: f.skips}
		if f.header {
			loose.rows--
		}
		r = loose
	}
	return newSplitter(r, f.quote, f.limits)
}

// mayLoosen reports whether the text may still be written anew.
func (f *File) mayLoosen() bool { return f.loose == nil && f.before == nil }

// loosens reports whether what is wrong in a row may be right once the text is
// written anew.
func (f *File) loosens(err error) bool {
	var at *rowError
	if !f.mayLoosen() || !errors.As(err, &at) {
		return false
	}
	return at.err == errBareQuote || at.err == errAfterEnd || at.err == errOpenQuote
}

// loosened returns the file from a place on, written anew: opened again, or, where
// it can be read only once, what was kept of it and what the splitter has left.
func (f *File) loosened(ctx context.Context, at int64, s *splitter, kept [][]byte) (*File, error) {
	again := *f
	again.loose = &writing{delimiter: string(rune(f.comma)), quote: f.quote}
	again.comma, again.quote, again.header = plainComma, plainQuote, f.header && at == 0
	if s.keep {
		again.rest = s.rest(kept)
		return &again, nil
	}
	in, err := f.input.Source.Reopen(ctx)
	if err != nil {
		return nil, err
	}
	again.input = in
	if _, err = io.CopyN(io.Discard, in, int64(f.skip)+at); err != nil {
		in.Close()
		return nil, in.Failed(err)
	}
	return &again, nil
}

// maxWorkers is how many blocks of a file are decoded at a time, at most.
const maxWorkers = 4

// inOrder gives the blocks of a file to work, several at a time, and their
// results to each in order. The results that each does not see go to discard.
// It returns when nothing runs any more: with the first error of each, or of
// reading.
func inOrder[T any](ctx context.Context, s *splitter, work func(block) T, each func(T) error, discard func(T)) error {
	type job struct {
		block block
		out   chan T
	}
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	stop := make(chan struct{})
	jobs := make(chan job)
	order := make(chan chan T, workers)
	finished := make(chan struct{}, workers)
	var readErr error
	go func() {
		defer close(order)
		defer close(jobs)
		at := int64(0)
		for first := true; ; first = false {
			data, err := s.next()
			if err != nil && err != errLongRow {
				if err != io.EOF {
					readErr, s.err = err, err
				}
				return
			}
			j := job{block{data, at, first, err != nil}, make(chan T, 1)}
			at += int64(len(data))
			select {
			case jobs <- j:
				order <- j.out
			case <-stop:
				s.unread = data
				return
			}
			if err != nil {
				readErr = err
				return
			}
		}
	}()
	for range workers {
		go func() {
			for j := range jobs {
				j.out <- work(j.block)
				if !s.keep {
					s.recycle(j.block.data)
				}
			}
			finished <- struct{}{}
		}()
	}
	var err error
	stopped := false
	for out := range order {
		result := <-out
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			discard(result)
		} else {
			err = each(result)
		}
		if err != nil && !stopped {
			stopped = true
			close(stop)
		}
	}
	for range workers {
		<-finished
	}
	if err == nil && readErr == errLongRow {
		err = driver.E(driver.ErrLimit, nil, "the file has a row that is longer than %d bytes; a quote may be missing", s.max)
	} else if err == nil {
		err = readErr
	}
	return err
}

// Count returns how many rows the file has.
func (f *File) Count(ctx context.Context) (int64, error) {
	type counted struct {
		rows int64
		err  error
	}
	var rows int64
	err := inOrder(ctx, f.splitter(), func(b block) counted {
		n, err := f.rows(b, nil, func(int64, []cell, int) error { return nil })
		return counted{n, err}
	}, func(n counted) error {
		rows += n.rows
		return n.err
	}, func(counted) {})
	return rows, err
}
