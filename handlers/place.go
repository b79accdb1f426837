package handlers

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// errGiven says that the log was given up beside its reader, as by an update that
// moved the source: what was to be told is of a place that is none any more.
var errGiven = errors.New("the log of changes was given up meanwhile")

// place is where a sync stands in its source's log. The order is always: tables'
// commits, the event that says so, and then the source, which forgets what lies
// before. It is safe for concurrent use.
type place struct {
	mu        sync.Mutex
	landed    string    // everything up to it has landed
	committed time.Time // the last transaction before it
	fresh     time.Time // the lake is complete up to then
	told      string    // what the history knows
	toldAt    time.Time
	stirred   bool      // changes have landed that the history does not know of
	stirredAt time.Time // when it last learnt of some
	confirmed string    // what the source knows
	seen      *driver.Standing
	message   string
	lagging   bool
	unlanded  int64 // changes that were read since
	written   int
}

func (p *place) position() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.landed
}

func (p *place) freshUntil() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh
}

// tellsNothing reports whether the history knows of no place yet.
func (p *place) tellsNothing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told == ""
}

func (p *place) lags() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lagging
}

// idle reports whether everything has landed that was read.
func (p *place) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unlanded == 0
}

// since says for people what is known to have landed.
func (p *place) since() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.fresh.IsZero():
		return p.fresh.UTC().Format(time.RFC3339)
	case p.landed != "":
		return p.landed
	}
	return "the last sync"
}

func (p *place) read(rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlanded += rows
}

// takenUp notes where a log begins that is followed from now on.
func (p *place) takenUp(position string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.landed, p.told, p.confirmed, p.seen, p.message = position, "", position, nil, ""
	p.committed, p.fresh = time.Time{}, time.Time{}
}

// reached notes that everything up to a position has landed.
func (p *place) reached(position string, committed, fresh time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if position != "" {
		p.landed = position
	}
	p.unlanded, p.message = 0, ""
	if !committed.IsZero() {
		p.committed = committed
	}
	if fresh.After(p.fresh) {
		p.fresh = fresh
	}
}

// stir notes that changes have landed.
func (p *place) stir() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stirred = true
}

// standing takes in what the source says. Where its log ends at what has landed, the
// lake is complete up to the moment at which it was asked; that nothing which was read
// waits to land would not do, for more may not have been read yet.
func (p *place) standing(s driver.Standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = &s
	if s.Behind == 0 && s.Delay == 0 && p.unlanded == 0 && p.confirmed == p.landed && s.At.After(p.fresh) {
		p.fresh = s.At
	}
}

// keeps takes in what the source says while tables are read whole, when nothing is
// known of how complete the lake is.
func (p *place) keeps(s driver.Standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = &s
}

func (p *place) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.landed, p.told, p.confirmed, p.seen, p.message, p.lagging = "", "", "", nil, "", false
	p.committed, p.fresh = time.Time{}, time.Time{}
}

// changes returns the place as events tell it, nil before there is one.
func (p *place) changes() *event.Changes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changesLocked()
}

func (p *place) changesLocked() *event.Changes {
	if p.landed == "" {
		return nil
	}
	c := &event.Changes{Position: p.landed, CommittedAt: ref(p.committed), FreshUntil: ref(p.fresh), Message: p.message}
	s := p.seen
	if s == nil {
		return c
	}
	known := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	delay := int64(s.Delay / time.Second)
	c.At, c.BehindBytes, c.BehindSeconds = ref(s.At), known(s.Behind), &delay
	c.RetainedBytes, c.LeftBytes, c.SlotState = known(s.Retained), known(s.Left), s.State
	if c.Message == "" {
		c.Message = s.Message
	}
	return c
}

// next returns what tells the events of an attempt apart.
func (p *place) next(f *follower) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nextLocked(f)
}

func (p *place) nextLocked(f *follower) string {
	p.written++
	return strconv.FormatUint(f.fence, 10) + ".log." + strconv.Itoa(p.written)
}

// tell writes where the sync stands, now or once it is time to, and then has the
// source forget what lies before. The source never learns of more than the history
// knows: the next attempt goes on where that says.
func (p *place) tell(f *follower, now bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now()
	c := p.changesLocked()
	if !now && !p.due(at, f.h.options) || c == nil {
		return nil
	}
	id, given := p.nextLocked(f), false
	if err := f.journal.decide(f.base, func(v view) (move, error) {
		if given = p.told != "" && v.Changes.Position == ""; given {
			return move{}, nil
		}
		return move{discriminator: id, data: &event.ChangesLanded{
			Meta: f.j.meta(false), SyncID: f.id, Changes: *c, Records: f.totals.records.Load(), Bytes: f.totals.bytes.Load(),
		}}, nil
	}); err != nil {
		return err
	}
	if given {
		return errGiven
	}
	if p.stirred {
		p.stirred, p.stirredAt = false, at
	}
	p.told, p.toldAt = p.landed, time.Now()
	f.h.seam("checkpointed")
	if p.confirmed == p.told || f.log == nil {
		return nil
	}
	if err := f.log.Confirm(f.base, p.told); err != nil {
		return err
	}
	p.confirmed = p.told
	f.h.seam("confirmed")
	return nil
}

// due reports whether the history is to learn of the place: of changes at once, but not
// soon after others, of another place a little later, and of the same now and then.
func (p *place) due(at time.Time, o Options) bool {
	return p.stirred && at.Sub(p.stirredAt) >= o.PositionEvery || p.landed != p.told && at.Sub(p.toldAt) >= o.PositionEvery || at.Sub(p.toldAt) >= o.HeartbeatEvery
}

// say tells where the sync stands and why it does not move.
func (p *place) say(f *follower, message string) error {
	p.mu.Lock()
	p.message = message
	p.mu.Unlock()
	return p.tell(f, true)
}

// warn tells that the source keeps too much of its log, or does no more.
func (p *place) warn(f *follower, over bool, message string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.changesLocked()
	if c == nil {
		return nil
	}
	if err := f.journal.write(f.base, move{discriminator: p.nextLocked(f), data: &event.ChangesLagging{
		Meta: f.j.meta(false), SyncID: f.id, Over: over, WarnBytes: f.options.LagWarn, Changes: *c, Message: message,
	}}); err != nil {
		return err
	}
	p.lagging = !over
	return nil
}
