package bucket

import (
	"bytes"
	"container/list"
	"strings"
	"sync"
	"sync/atomic"
)

// What a bucket keeps in memory of files that never change: metadata, and small
// files of rows for those who ask by Reopen.
const (
	cacheBytes = 24 << 20
	smallBytes = 8 << 20
	smallFile  = 128 << 10
)

// flag remembers what a store cannot do.
type flag struct{ atomic.Bool }

// cache holds files by name, those that were used last. No name is written twice
// in a lake.
type cache struct {
	most  int // bytes
	mu    sync.Mutex
	files map[string]*list.Element
	used  list.List // of cached, newest first
	size  int
}

type cached struct {
	key     string
	content []byte
}

func cacheable(key string) bool {
	return strings.HasSuffix(key, ".avro") || strings.HasSuffix(key, ".metadata.json") || strings.HasSuffix(key, ".staged.json")
}

// keep puts a file into the cache that it belongs to.
func (b *Bucket) keep(key string, content []byte) {
	if cap(content) > 2*len(content) {
		content = bytes.Clone(content)
	}
	switch {
	case cacheable(key):
		b.cache.put(key, content)
	case len(content) <= smallFile:
		b.small.put(key, content)
	}
}

// forget lets go of a file that was removed.
func (b *Bucket) forget(key string) {
	b.cache.forget(key)
	b.small.forget(key)
}

func (c *cache) get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.files[key]
	if !ok {
		return nil, false
	}
	c.used.MoveToFront(e)
	return e.Value.(cached).content, true
}

func (c *cache) put(key string, content []byte) {
	if len(content) > c.most/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[key] != nil {
		return
	}
	if c.files == nil {
		c.files = map[string]*list.Element{}
	}
	c.files[key] = c.used.PushFront(cached{key, content})
	for c.size += len(content); c.size > c.most; {
		c.drop(c.used.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	one := c.used.Remove(e).(cached)
	c.size -= len(one.content)
	delete(c.files, one.key)
}

func (c *cache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.files[key]; e != nil {
		c.drop(e)
	}
}
