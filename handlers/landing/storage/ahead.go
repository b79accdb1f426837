package storage

import (
	"slices"
	"sync"

	iceio "github.com/apache/iceberg-go/io"

	"headwater/handlers/landing/bucket"
)

// aheadFiles is how many files are open before anybody asks: the first MiB of
// each is in memory then.
const aheadFiles = 8

// ahead is a store of which some files are opened side by side before they are
// asked for, in the order in which they will be. Those that this process wrote
// or read lately come from memory.
type ahead struct {
	*bucket.Bucket
	slots chan struct{}
	end   chan struct{}
	mu    sync.Mutex
	next  []string
	open  map[string]chan opened
}

type opened struct {
	file iceio.File
	err  error
}

// ReadAhead returns the store with the named files opened ahead if it is a bucket, else
// the store itself. The caller opens the files in this order, and calls end after it.
func ReadAhead(files Store, names []string) (reading Store, end func()) {
	b, ok := files.(*bucket.Bucket)
	if !ok || len(names) == 0 {
		return files, func() {}
	}
	a := &ahead{Bucket: b, slots: make(chan struct{}, aheadFiles), end: make(chan struct{}), open: map[string]chan opened{}, next: names}
	go a.run()
	return a, sync.OnceFunc(func() { close(a.end) })
}

func (a *ahead) run() {
	for {
		select {
		case <-a.end:
			return
		case a.slots <- struct{}{}:
		}
		a.mu.Lock()
		if len(a.next) == 0 {
			a.mu.Unlock()
			return
		}
		name := a.next[0]
		a.next = a.next[1:]
		got := make(chan opened, 1)
		a.open[name] = got
		a.mu.Unlock()
		go func() {
			f, err := a.Reopen(name)
			got <- opened{f, err}
		}()
	}
}

// Open returns a file that is open or being opened, or opens it.
func (a *ahead) Open(name string) (iceio.File, error) {
	a.mu.Lock()
	got := a.open[name]
	delete(a.open, name)
	if got == nil {
		a.next = slices.DeleteFunc(a.next, func(next string) bool { return next == name })
	}
	a.mu.Unlock()
	if got == nil {
		return a.Reopen(name)
	}
	one := <-got
	<-a.slots
	return one.file, one.err
}
