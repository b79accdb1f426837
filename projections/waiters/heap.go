package waiters

// sequenceWait is one waiter for a sequence.
type sequenceWait struct {
	sequence uint64
	done     chan struct{}
	index    int // in the heap; -1 once woken
}

// sequenceHeap is a heap with the smallest sequence first.
type sequenceHeap []*sequenceWait

func (h sequenceHeap) Len() int           { return len(h) }
func (h sequenceHeap) Less(i, j int) bool { return h[i].sequence < h[j].sequence }
func (h sequenceHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *sequenceHeap) Push(x any) {
	entry := x.(*sequenceWait)
	entry.index = len(*h)
	*h = append(*h, entry)
}

// Pop implements heap.Interface.
func (h *sequenceHeap) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	entry.index = -1
	return entry
}
