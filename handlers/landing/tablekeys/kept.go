package tablekeys

import (
	"container/list"
	"fmt"
	"time"
)

// keptKey is whose keys to what are remembered.
type keptKey struct {
	organization, username, tokenID, folder string
	ends                                    int64 // of the holder's token if that is what limits the keys; Unix seconds
}

// text returns the key as one text, another one for each.
func (k keptKey) text() string {
	return fmt.Sprintf("%q %d", []string{k.organization, k.username, k.tokenID, k.folder}, k.ends)
}

// keptValue is keys, or why there are none.
type keptValue struct {
	keys    Keys
	refusal *Refusal
	until   time.Time // when others are asked for
}

// kept remembers values until their time, or until too many others were asked for
// since.
type kept struct {
	most   int
	values map[keptKey]*list.Element
	recent *list.List // of keptItem, the one that was asked for last in front
}

type keptItem struct {
	key   keptKey
	value keptValue
}

func newKept(most int) kept {
	return kept{most: most, values: map[keptKey]*list.Element{}, recent: list.New()}
}

// get returns what is remembered: a refusal until its time, and keys for as long as
// there is use in them, also when others should be asked for.
func (k *kept) get(key keptKey, now time.Time) (keptValue, bool) {
	at, ok := k.values[key]
	if !ok {
		return keptValue{}, false
	}
	value := at.Value.(keptItem).value
	end := value.until
	if value.refusal == nil {
		end = value.keys.Expires.Add(-leastLeft)
	}
	if !now.Before(end) {
		k.drop(at)
		return keptValue{}, false
	}
	k.recent.MoveToFront(at)
	return value, true
}

func (k *kept) put(key keptKey, value keptValue) {
	if at, ok := k.values[key]; ok {
		k.drop(at)
	}
	k.values[key] = k.recent.PushFront(keptItem{key, value})
	for len(k.values) > k.most {
		k.drop(k.recent.Back())
	}
}

func (k *kept) drop(at *list.Element) {
	delete(k.values, at.Value.(keptItem).key)
	k.recent.Remove(at)
}
