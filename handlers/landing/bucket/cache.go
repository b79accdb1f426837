package bucket

import (
	"strings"
	"sync"
	"sync/atomic"
)

// cacheBytes is what a bucket keeps in memory of files that never change.
const cacheBytes = 32 << 20

// flag remembers what a store cannot do.
type flag struct{ atomic.Bool }

// cache holds the newest of the small files that say what is in a table, by
// name. No name is written twice in a lake.
type cache struct {
	mu    sync.Mutex
	files map[string][]byte
	order []string // oldest first
	size  int
}

func cacheable(key string) bool {
	return strings.HasSuffix(key, ".avro") || strings.HasSuffix(key, ".metadata.json") || strings.HasSuffix(key, ".staged.json")
}

func (c *cache) get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, ok := c.files[key]
	return content, ok
}

func (c *cache) put(key string, content []byte) {
	if !cacheable(key) || len(content) > cacheBytes/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.files[key]; ok {
		return
	}
	if c.files == nil {
		c.files = map[string][]byte{}
	}
	c.files[key], c.size = content, c.size+len(content)
	c.order = append(c.order, key)
	for c.size > cacheBytes {
		c.drop(c.order[0])
		c.order = c.order[1:]
	}
}

func (c *cache) drop(key string) {
	c.size -= len(c.files[key])
	delete(c.files, key)
}

// forget lets go of a file that was removed.
func (c *cache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
}
