package views

import (
	"container/list"
	"sync"
)

// kept is a cache of what was used last.
type kept[T any] struct {
	mu    sync.Mutex
	most  int
	used  int
	cost  func(T) int
	order *list.List // newest first
	by    map[string]*list.Element
}

type keptEntry[T any] struct {
	name  string
	value T
}

func newKept[T any](most int, cost func(T) int) *kept[T] {
	return &kept[T]{most: most, cost: cost, order: list.New(), by: map[string]*list.Element{}}
}

func (k *kept[T]) get(name string) (value T, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.by[name]
	if !ok {
		return value, false
	}
	k.order.MoveToFront(at)
	return at.Value.(keptEntry[T]).value, true
}

func (k *kept[T]) put(name string, value T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, ok := k.by[name]; ok {
		k.drop(at)
	}
	if k.cost(value) > k.most/2 {
		return // it would push out everything else
	}
	k.by[name] = k.order.PushFront(keptEntry[T]{name, value})
	for k.used += k.cost(value); k.used > k.most; {
		k.drop(k.order.Back())
	}
}

func (k *kept[T]) drop(at *list.Element) {
	e := at.Value.(keptEntry[T])
	k.order.Remove(at)
	delete(k.by, e.name)
	k.used -= k.cost(e.value)
}
