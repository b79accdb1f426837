package httpapi

import (
	"context"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

const (
	sampleRecords = 1000
	samplePages   = 20
	sincePages    = 2        // where a read asks for what changed
	sampleBytes   = 16 << 20 // of one table's pages that are kept for its read
	keptPages     = 64 << 20 // of all tables'
	// keptFor is how long pages that were looked at are good to be read, and the
	// pager's place good to go on from.
	keptFor = 2 * time.Minute
)

// walk is the beginning of a read: the pages from which the columns were found are kept,
// so that the read does not request them again.
type walk struct {
	p      *pager
	pages  []*page
	bytes  int64
	lost   bool // there was more than is kept
	looked bool // columns were found by it
	begun  time.Time
}

func (s *source) walk(e endpoint) *walk {
	return &walk{p: newPager(s, e, nil), begun: time.Now()}
}

// next returns the next page, and keeps it if there is room.
func (w *walk) next(ctx context.Context) (*page, error) {
	pg, err := w.p.next(ctx)
	if pg == nil || err != nil {
		return nil, err
	}
	w.bytes += pg.bytes
	w.p.s.kept += pg.bytes
	if w.lost = w.lost || w.bytes > sampleBytes || w.p.s.kept > keptPages; w.lost {
		w.drop()
		return pg, nil
	}
	if pg.body != nil {
		pg.body.keep()
	}
	kept := *pg
	w.pages = append(w.pages, &kept)
	return pg, nil
}

// drop ends the use of the pages.
func (w *walk) drop() {
	for _, pg := range w.pages {
		w.p.s.letGo(pg.body)
	}
	w.pages = nil
	w.p.s.kept -= w.bytes
	w.bytes = 0
}

// end ends the requests that are under way, and the use of the pages.
func (w *walk) end() {
	w.p.stop()
	w.drop()
}

// taken returns a pager for a read of the endpoint, and the pages that it has read
// already.
func (s *source) taken(e endpoint) (*pager, []*page) {
	w := s.walks[e.Name]
	delete(s.walks, e.Name)
	switch {
	case w == nil:
	case w.lost || time.Since(w.begun) > keptFor:
		w.end()
	default:
		s.kept -= w.bytes
		w.p.sample = 0
		return w.p, w.pages
	}
	return newPager(s, e, nil), nil
}

// sampled is what the first records of a table are like.
type sampled struct {
	shape records.Shape
	ids   map[string]bool
	times map[string]*timeField
	whole bool // there are no others
}

func newSampled() *sampled {
	return &sampled{ids: map[string]bool{}, times: map[string]*timeField{}}
}

// look adds the records of a page.
func (m *sampled) look(s *source, e endpoint, pg *page) error {
	var scratch []byte
	for raw := range pg.elements() {
		raw, scratch = e.nested(raw, scratch)
		if err := m.shape.Record(raw, s.limits); err != nil {
			return driver.E(kindOf(err), err, "%s", where(e.url))
		}
		m.ids[string(records.Field(raw, "id"))] = true
		m.lookAtTimes(raw)
	}
	return nil
}

// beginning checks that an endpoint can be read and how it pages: it reads the first
// page and, if there is one, the second.
func (s *source) beginning(ctx context.Context, e endpoint) error {
	if w := s.walks[e.Name]; w != nil {
		w.end()
		delete(s.walks, e.Name)
	}
	w := s.walk(e)
	w.p.sample = 1
	for range 2 {
		pg, err := w.next(ctx)
		if err != nil {
			w.end()
			return err
		}
		if pg == nil {
			break
		}
	}
	s.walks[e.Name] = w
	return nil
}
