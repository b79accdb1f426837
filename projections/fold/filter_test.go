package fold

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"headwater/bus/event"
)

// TestFilter: what was written is never said not to be, and of the rest nearly
// all is.
func TestFilter(t *testing.T) {
	w := NewFilter()
	const n = 100_000
	for i := range n {
		w.add(fmt.Sprint("key", i))
	}
	wrong := 0
	for i := range n {
		if w.Never(fmt.Append(nil, "key", i)) {
			t.Fatalf("key %d was written", i)
		}
		if !w.Never(fmt.Append(nil, "other", i)) {
			wrong++
		}
	}
	if wrong > n/1000 {
		t.Errorf("%d of %d that were not written are not known", wrong, n)
	}
}

// TestEveryCellIsFound: Found adds the keys of every kind of cell. A kind that it
// forgets would make Never deny, after a restart, what is stored.
func TestEveryCellIsFound(t *testing.T) {
	store, cache := table{}, NewCache(nil)
	b := cache.Begin(store, store, 0, false)
	for _, e := range append(story(), &event.Event{ID: "id-token", Sequence: 1000, Time: time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC),
		Data: &event.TokenCreated{Meta: event.At(event.Address{Organization: "acme", Owner: "ann", Source: "tok_1"}, event.Operation{}), Name: "ci"}}) {
		if err := b.Fold(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	kinds := 0
	for field, value := range reflect.ValueOf(cache).Elem().Fields() {
		if !strings.HasPrefix(field.Type.Name(), "cells[") {
			continue
		}
		kinds++
		keys := value.FieldByName("all").MapKeys()
		if len(keys) == 0 {
			t.Errorf("no event of this test leaves a cell in %s", field.Name)
		}
		for _, k := range keys {
			w, key := NewFilter(), []byte(k.String())
			if w.Found(key); w.Never(key) {
				t.Fatalf("Found does not add the keys of %s, such as %q", field.Name, key)
			}
		}
	}
	if kinds < 9 {
		t.Errorf("a cache has %d kinds of cells, or this test does not know them", kinds)
	}
}
