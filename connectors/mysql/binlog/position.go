package binlog

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ErrPosition is a text that is no position.
var ErrPosition = errors.New("this is no position in a binary log")

// Position is a place in a log: the transactions that lie before it, by their
// GTIDs, which every server that has the same log knows. The zero Position is the
// beginning.
type Position struct {
	domains map[uint32]domain    // MariaDB: the last transaction of each domain
	sets    map[source][]numbers // MySQL: those of each server and tag
	Place   Place
}

type domain struct {
	server uint32
	seq    uint64
}

// source is what the numbers of MySQL's transactions count within.
type source struct {
	uuid [16]byte
	tag  string // "" for none
}

// numbers are those from first to last, both among them.
type numbers struct{ first, last uint64 }

// Place is where a position lies in the files of one server: a hint, by which it
// shows that the server's log was begun anew.
type Place struct {
	File   string
	At     uint64
	Server uint32 // its id
	Made   uint32 // when the file was, in seconds since 1970
	Time   uint32 // of the last transaction
	Loose  bool   // the server did not write each transaction to its disk when this was noted
}

// none stands for no transaction at all: a position's text is never empty. loose ends
// the text of a position whose Place is Loose.
const (
	none  = "none"
	loose = ".loose"
)

// String writes the position for Parse.
func (p Position) String() string {
	text := fmt.Sprintf("%s %s:%d %d.%d.%d", cmp.Or(p.GTIDs(), none), p.Place.File, p.Place.At, p.Place.Server, p.Place.Made, p.Place.Time)
	if p.Place.Loose {
		text += loose
	}
	return text
}

// Parse reads what String wrote. It is ErrPosition for anything else.
func Parse(text string) (Position, error) {
	text, isLoose := strings.CutSuffix(text, loose)
	parts := strings.Split(text, " ")
	if len(parts) != 3 {
		return Position{}, ErrPosition
	}
	if parts[0] == none {
		parts[0] = ""
	}
	p, err := ParseGTIDs(parts[0])
	if err != nil {
		return p, err
	}
	colon := strings.LastIndexByte(parts[1], ':')
	if colon < 0 {
		return p, ErrPosition
	}
	p.Place.File = parts[1][:colon]
	if p.Place.At, err = strconv.ParseUint(parts[1][colon+1:], 10, 64); err != nil {
		return p, ErrPosition
	}
	if n, err := fmt.Sscanf(parts[2], "%d.%d.%d", &p.Place.Server, &p.Place.Made, &p.Place.Time); err != nil || n != 3 {
		return p, ErrPosition
	}
	p.Place.Loose = isLoose
	return p, nil
}

// ParseGTIDs reads MariaDB's gtid_binlog_pos or MySQL's gtid_executed.
func ParseGTIDs(text string) (Position, error) {
	p := Position{domains: map[uint32]domain{}, sets: map[source][]numbers{}}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if !p.parseSet(part) && !p.parseDomain(part) {
			return Position{}, ErrPosition
		}
	}
	if len(p.domains) > 0 && len(p.sets) > 0 {
		return Position{}, ErrPosition
	}
	return p, nil
}

func (p Position) parseDomain(text string) bool {
	parts := strings.Split(text, "-")
	if len(parts) != 3 {
		return false
	}
	name, err := strconv.ParseUint(parts[0], 10, 32)
	server, err2 := strconv.ParseUint(parts[1], 10, 32)
	seq, err3 := strconv.ParseUint(parts[2], 10, 64)
	if err != nil || err2 != nil || err3 != nil {
		return false
	}
	p.domains[uint32(name)] = domain{uint32(server), seq}
	return true
}

func (p Position) parseSet(text string) bool {
	parts := strings.Split(text, ":")
	plain := strings.ReplaceAll(parts[0], "-", "")
	if len(parts) < 2 || len(plain) != 32 {
		return false
	}
	var name source
	if _, err := hex.Decode(name.uuid[:], []byte(plain)); err != nil {
		return false
	}
	for _, text := range parts[1:] {
		if isTag(text) {
			name.tag = text
			continue
		}
		from, to, several := strings.Cut(text, "-")
		first, err := strconv.ParseUint(from, 10, 63)
		last := first
		if several && err == nil {
			last, err = strconv.ParseUint(to, 10, 63)
		}
		if err != nil || first == 0 || last < first {
			return false
		}
		p.sets[name] = joined(append(p.sets[name], numbers{first, last}))
	}
	return true
}

// isTag reports whether a part of a set is a tag, [a-z_][a-z0-9_]{0,31}.
func isTag(text string) bool {
	for i, c := range []byte(text) {
		if !(c == '_' || c >= 'a' && c <= 'z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return len(text) > 0 && len(text) <= maxTag
}

// joined sorts numbers and puts together what touches.
func joined(all []numbers) []numbers {
	slices.SortFunc(all, func(a, b numbers) int { return cmp.Compare(a.first, b.first) })
	out := all[:0]
	for _, n := range all {
		if last := len(out) - 1; last >= 0 && n.first <= out[last].last+1 {
			out[last].last = max(out[last].last, n.last)
			continue
		}
		out = append(out, n)
	}
	return out
}

// GTIDs writes the transactions alone, as the server does; "" for none.
func (p Position) GTIDs() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.domains)) {
		d := p.domains[name]
		parts = append(parts, fmt.Sprintf("%d-%d-%d", name, d.server, d.seq))
	}
	names := p.sources()
	for i, name := range names {
		text := uuidText(name.uuid)
		switch {
		case i > 0 && name.uuid == names[i-1].uuid:
			text = parts[len(parts)-1] + ":" + name.tag
			parts = parts[:len(parts)-1]
		case name.tag != "":
			text += ":" + name.tag
		}
		for _, n := range p.sets[name] {
			if text += fmt.Sprintf(":%d", n.first); n.last > n.first {
				text += fmt.Sprintf("-%d", n.last)
			}
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

func (p Position) sources() []source {
	return slices.SortedFunc(maps.Keys(p.sets), func(a, b source) int {
		return cmp.Or(slices.Compare(a.uuid[:], b.uuid[:]), strings.Compare(a.tag, b.tag))
	})
}

// Clone returns a position that can be changed apart.
func (p Position) Clone() Position {
	out := Position{domains: maps.Clone(p.domains), sets: map[source][]numbers{}, Place: p.Place}
	if out.domains == nil {
		out.domains = map[uint32]domain{}
	}
	for name, all := range p.sets {
		out.sets[name] = slices.Clone(all)
	}
	return out
}

// Add moves the position behind a transaction. It reports false if the
// transaction's number is not greater than the last one of its domain: such a log
// cannot be followed by GTIDs.
func (p *Position) Add(t Transaction) bool {
	if t.Maria {
		if last, ok := p.domains[t.Domain]; ok && t.Seq <= last.seq {
			return false
		}
		p.domains[t.Domain] = domain{t.Server, t.Seq}
		return true
	}
	name := source{t.UUID, t.Tag}
	all := p.sets[name]
	if n := len(all); n > 0 && all[n-1].last+1 == t.Seq {
		all[n-1].last++
		return true
	}
	if p.Covers(t) {
		return false
	}
	p.sets[name] = joined(append(all, numbers{t.Seq, t.Seq}))
	return true
}

// Covers reports whether a transaction lies before the position.
func (p Position) Covers(t Transaction) bool {
	if t.Maria {
		last, ok := p.domains[t.Domain]
		return ok && t.Seq <= last.seq
	}
	return slices.ContainsFunc(p.sets[source{t.UUID, t.Tag}], func(n numbers) bool { return n.first <= t.Seq && t.Seq <= n.last })
}

// Within returns what p has of the domains of q.
func (p Position) Within(q Position) Position {
	out := Position{domains: map[uint32]domain{}}
	for name, d := range p.domains {
		if _, ok := q.domains[name]; ok {
			out.domains[name] = d
		}
	}
	return out
}

// Includes reports whether every transaction before q lies before p, too.
func (p Position) Includes(q Position) bool {
	for name, d := range q.domains {
		if last, ok := p.domains[name]; !ok || last.seq < d.seq {
			return false
		}
	}
	for name, all := range q.sets {
		for _, n := range all {
			if !slices.ContainsFunc(p.sets[name], func(m numbers) bool { return m.first <= n.first && n.last <= m.last }) {
				return false
			}
		}
	}
	return true
}

// Same reports whether the last transaction of each domain of p is that of q, too.
func (p Position) Same(q Position) bool {
	for name, d := range p.domains {
		if q.domains[name] != d {
			return false
		}
	}
	return q.Includes(p)
}

// Common returns the place before which lies what lies before both. It has the
// Place of the one that the other includes, none where neither does.
func (p Position) Common(q Position) Position {
	switch {
	case q.Includes(p):
		return p.Clone()
	case p.Includes(q):
		return q.Clone()
	}
	out := Position{domains: map[uint32]domain{}, sets: map[source][]numbers{}}
	for name, d := range p.domains {
		if other, ok := q.domains[name]; ok {
			if other.seq < d.seq {
				d = other
			}
			out.domains[name] = d
		}
	}
	for name, all := range p.sets {
		for _, n := range all {
			for _, m := range q.sets[name] {
				if first, last := max(n.first, m.first), min(n.last, m.last); first <= last {
					out.sets[name] = append(out.sets[name], numbers{first, last})
				}
			}
		}
	}
	return out
}

// Encode writes the transactions for MySQL's COM_BINLOG_DUMP_GTID: how many
// servers, and of each its UUID and how many ranges with their first number and the
// one behind the last. If there are tags, each UUID has one behind it, and the first
// eight bytes say so (Gtid_set::encode, MySQL 8.3).
func (p Position) Encode() []byte {
	names := p.sources()
	tagged := slices.ContainsFunc(names, func(name source) bool { return name.tag != "" })
	head := uint64(len(names))
	if tagged {
		head = 1<<56 | head<<8 | 1
	}
	out := binary.LittleEndian.AppendUint64(nil, head)
	for _, name := range names {
		out = append(out, name.uuid[:]...)
		if tagged {
			out = append(append(out, byte(len(name.tag)<<1)), name.tag...)
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(len(p.sets[name])))
		for _, n := range p.sets[name] {
			out = binary.LittleEndian.AppendUint64(out, n.first)
			out = binary.LittleEndian.AppendUint64(out, n.last+1)
		}
	}
	return out
}
