package syncing

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/history"
)

// errGiven says that the log was given up while this sync read it, or that an update moved
// the source to another server: the position that was to be written is no longer valid.
var errGiven = errors.New("the log of changes was given up meanwhile")

// place is the position of a sync in its source's log. The order is always: commits of
// the tables, the event that says so, and then the confirmation to the source, which may
// discard what lies before. It is safe for concurrent use.
type place struct {
	mu        sync.Mutex
	landed    string    // the position up to which everything has landed, "" before there is one
	committed time.Time // when the last transaction before it was committed
	fresh     time.Time // the time up to which the lake is complete
	told      string    // the position in the history
	toldAt    time.Time
	stirred   bool      // changes have landed that are not in the history
	stirredAt time.Time // when changes were last written to it
	confirmed string    // the position that the source was told
	seen      *driver.Standing
	message   string
	lagging   bool
	unlanded  int64 // changes that were read and have not landed
	written   int   // events of this attempt
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

// tellsNothing reports whether the history has no position yet.
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

// since returns, for a message, up to when or where changes have landed.
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

// takenUp notes the first position of a log that is followed from now on.
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

// standing notes what the source says of its log. If the log ends at what has landed, the
// lake is complete up to the moment of the question. That no change which was read waits
// to land would not prove it: more may not have been read yet.
func (p *place) standing(s driver.Standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = &s
	if s.Behind == 0 && s.Delay == 0 && p.unlanded == 0 && p.confirmed == p.landed && s.At.After(p.fresh) {
		p.fresh = s.At
	}
}

// keeps notes what the source says while tables are read whole, when it proves nothing
// about how complete the lake is.
func (p *place) keeps(s driver.Standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = &s
}

// forget goes back to no position, after the log was given up.
func (p *place) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.landed, p.told, p.confirmed, p.seen, p.message, p.lagging = "", "", "", nil, "", false
	p.committed, p.fresh = time.Time{}, time.Time{}
}

// changes returns the place as events have it, nil before there is a position.
func (p *place) changes() *event.Changes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changesLocked()
}

func (p *place) changesLocked() *event.Changes {
	if p.landed == "" {
		return nil
	}
	c := &event.Changes{Position: p.landed, CommittedAt: utc(p.committed), FreshUntil: utc(p.fresh), Message: p.message}
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
	c.At, c.BehindBytes, c.BehindSeconds = utc(s.At), known(s.Behind), &delay
	c.RetainedBytes, c.LeftBytes, c.SlotState = known(s.Retained), known(s.Left), s.State
	if c.Message == "" {
		c.Message = s.Message
	}
	return c
}

// utc returns a reference to a time in UTC, nil to none.
func utc(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// next returns what distinguishes the events of an attempt, another text each time.
func (p *place) next(f *follower) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nextLocked(f)
}

func (p *place) nextLocked(f *follower) string {
	p.written++
	return strconv.FormatUint(f.fence, 10) + ".log." + strconv.Itoa(p.written)
}

// tell writes ChangesLanded, with now at once and else if it is due, and then confirms
// the position to the source. The source is never told of more than the history has,
// because the next attempt goes on from there. It returns errGiven if the log was given
// up meanwhile, or the error of the event or of the source.
func (p *place) tell(f *follower, now bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !now && !p.due(time.Now(), f.h.Options) {
		return nil
	}
	if wrote, err := p.write(f); err != nil || !wrote || p.confirmed == p.told || f.log == nil {
		return err
	}
	if err := f.log.Confirm(f.base, p.told); err != nil {
		return err
	}
	p.confirmed = p.told
	f.j.Seam("confirmed")
	return nil
}

// catchUp writes ChangesLanded if more has landed than the history has, before the log is
// opened there: by that, too, the source is told of it. It returns errGiven if the log was
// given up meanwhile, or the error of the event.
func (p *place) catchUp(f *follower) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.landed == p.told {
		return nil
	}
	_, err := p.write(f)
	return err
}

// write writes ChangesLanded, and reports whether there was a position to write. The
// caller holds the mutex.
func (p *place) write(f *follower) (wrote bool, err error) {
	at := time.Now()
	c := p.changesLocked()
	if c == nil {
		return false, nil
	}
	id, given := p.nextLocked(f), false
	if err := f.journal.decide(f.base, func(v history.View) (history.Move, error) {
		if given = f.left(v.Source) || p.told != "" && v.Changes.Position == ""; given {
			return history.Move{}, nil
		}
		return history.Move{Discriminator: id, Data: &event.ChangesLanded{
			Meta: f.j.Meta(false), SyncID: f.id, Changes: *c, Records: f.totals.records.Load(), Bytes: f.totals.bytes.Load(),
		}}, nil
	}); err != nil {
		return false, err
	}
	if given {
		return false, errGiven
	}
	if p.stirred {
		p.stirred, p.stirredAt = false, at
	}
	p.told, p.toldAt = p.landed, time.Now()
	f.j.Seam("checkpointed")
	return true, nil
}

// due reports whether the place is to be written: changes at once, but PositionEvery
// after the last, another position after PositionEvery, and the same one after
// HeartbeatEvery.
func (p *place) due(at time.Time, o Options) bool {
	return p.stirred && at.Sub(p.stirredAt) >= o.PositionEvery || p.landed != p.told && at.Sub(p.toldAt) >= o.PositionEvery || at.Sub(p.toldAt) >= o.HeartbeatEvery
}

// say writes the place with a message that says why it does not move.
func (p *place) say(f *follower, message string) error {
	p.mu.Lock()
	p.message = message
	p.mu.Unlock()
	return p.tell(f, true)
}

// warn writes ChangesLagging: the source keeps too much of its log, or with over no
// longer does. Without a position it writes nothing. It returns errGiven if the log was
// given up meanwhile, or the error of the event.
func (p *place) warn(f *follower, over bool, message string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.changesLocked()
	if c == nil {
		return nil
	}
	id := p.nextLocked(f)
	if err := f.write(func() history.Move {
		return history.Move{Discriminator: id, Data: &event.ChangesLagging{
			Meta: f.j.Meta(false), SyncID: f.id, Over: over, WarnBytes: f.options.LagWarn, Changes: *c, Message: message,
		}}
	}); err != nil {
		return err
	}
	p.lagging = !over
	return nil
}
