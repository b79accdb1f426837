package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
)

// token names a range of a heap as one snapshot showed it.
type token struct {
	history       string
	oid, filenode int64 // a rewrite gives the table another filenode
	shape         uint64
	xmin          uint64 // of the snapshot
	lo, hi        int64  // blocks
}

func (b basis) token(l *leaf, lo, hi int64) token {
	t := token{oid: l.oid, filenode: l.filenode, shape: l.shape, xmin: b.xmin, lo: lo, hi: hi}
	if b.durable {
		t.history = b.history
	}
	return t
}

// String returns the token as it is stored. parseToken reads it.
func (t token) String() string {
	return fmt.Sprintf("1:%s:%d:%d:%x:%d:%d:%d", t.history, t.oid, t.filenode, t.shape, t.xmin, t.lo, t.hi)
}

// parseToken reads what String wrote. It returns false for other text.
func parseToken(text string) (token, bool) {
	f := strings.Split(text, ":")
	if len(f) != 8 {
		return token{}, false
	}
	signed := func(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n }
	t := token{history: f[1], oid: signed(f[2]), filenode: signed(f[3]), lo: signed(f[6]), hi: signed(f[7])}
	t.shape, _ = strconv.ParseUint(f[4], 16, 64)
	t.xmin, _ = strconv.ParseUint(f[5], 10, 64)
	return t, t.String() == text && t.history != "" && len(t.history) <= maxHistory && t.lo >= 0 && t.lo < t.hi && t.hi <= 1<<32
}

// maxHistory is the most bytes of a history: it is two numbers.
const maxHistory = 64

// held is a landed range that may be kept.
type held struct {
	token
	landed driver.Range
	leaf   *leaf
}

// maxAge is how many transactions may have begun since a range was read. Rows have 32
// bits of a transaction id, half of which can be ordered; a margin is left.
const maxAge = 1<<31 - 1<<24

// verifyAtOnce is how many ranges one statement counts, so that an answer comes within
// the idle limit.
const verifyAtOnce = 16

// verify returns the landed ranges that have exactly the same rows in this snapshot, by
// leaf and in the order of blocks.
//
// A row that is visible now and whose transaction had ended before the older snapshot was
// visible in that snapshot, too. If there are as many such rows as were read, and no
// others, they are the rows that were read. The server counts them and sends none. Ranges
// that are not counted by the given time are not kept.
func verify(ctx context.Context, c *session.Session, b basis, leaves []*leaf, landed []driver.Range, until time.Time) (map[*leaf][]held, error) {
	candidates := b.candidates(leaves, landed)
	kept := map[*leaf][]held{}
	for group := range slices.Chunk(candidates, verifyAtOnce) {
		if time.Now().After(until) {
			break
		}
		counts := make([]string, len(group))
		for i, h := range group {
			counts[i] = fmt.Sprintf("SELECT %d, count(*), count(*) FILTER (WHERE age(xmin) > age('%d'::xid)) FROM %s WHERE %s", i, uint32(h.xmin), h.leaf.only(), within(h.lo, h.hi, false))
		}
		err := c.Run(ctx, "SET LOCAL enable_tidscan = on; SET LOCAL enable_seqscan = off;"+strings.Join(counts, " UNION ALL "), func(_ int, row [][]byte) error {
			i := session.Number(row[0])
			if i < 0 || i >= int64(len(group)) {
				return binarycopy.ErrMalformed
			}
			h := group[i]
			if visible, old := session.Number(row[1]), session.Number(row[2]); visible == h.landed.Rows && old == visible {
				kept[h.leaf] = append(kept[h.leaf], h)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, of := range kept {
		slices.SortFunc(of, func(a, b held) int { return cmp.Compare(a.lo, b.lo) })
	}
	return kept, nil
}

// candidates returns the landed ranges of these heaps. No two of them overlap.
func (b basis) candidates(leaves []*leaf, landed []driver.Range) []held {
	var all []held
	for _, r := range landed {
		t, ok := parseToken(r.Token)
		if !ok || t.history != b.history || t.xmin > b.xmin || b.xmax-t.xmin > maxAge || uint32(t.xmin) < moment.FirstXID {
			continue
		}
		at := slices.IndexFunc(leaves, func(l *leaf) bool { return l.oid == t.oid && l.filenode == t.filenode && l.shape == t.shape })
		if at >= 0 {
			all = append(all, held{t, r, leaves[at]})
		}
	}
	slices.SortStableFunc(all, func(a, b held) int { return cmp.Or(cmp.Compare(a.oid, b.oid), cmp.Compare(a.lo, b.lo)) })
	apart := all[:0]
	for _, h := range all {
		if n := len(apart); n == 0 || apart[n-1].oid != h.oid || apart[n-1].hi <= h.lo {
			apart = append(apart, h)
		}
	}
	return apart
}
