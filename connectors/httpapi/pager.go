package httpapi

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/places"
	"headwater/connectors/records"
)

// page is the records of one answer.
type page struct {
	list    []byte // the raw array, or one object
	single  bool
	body    *body // with its index; valid until the next page, unless kept
	records int   // how many
	skip    int   // how many of them, the first, were on the page before
	note    string
	bytes   int64
}

// pager walks through the pages of an endpoint. It is not safe for concurrent
// use.
//
// How an API pages is read from its first answer and proven by its second: see
// choose and probe. The walk ends on proof alone: see over.
type pager struct {
	s     *source
	e     endpoint
	first *url.URL // of the first page
	url   *url.URL // of the next page
	given bool     // that URL is the API's own
	done  bool

	mode  string // link, next_url, token, page, offset, after, none; "" before it is known
	param string
	sign  string // the name of the sign that the mode goes by
	tried string // the token that was sent last
	at    int64  // page number or offset of the page last read
	step  int64  // that an offset goes on by
	ways  []way  // to the second page, to be tried
	doubt bool   // fewer records came than were asked for: the API hid some, or gives no more to a page

	place places.Place
	found bool   // place was found in an answer that had records, or is set
	begun *first // what the first page was like

	count   int             // pages
	seen    int64           // records
	total   int64           // that the API says there are, -1 is unknown
	least   int64           // the least total that it said, -1 is unknown
	largest int             // records on the largest page
	pages   int64           // that it says there are, -1 is unknown
	zero    bool            // pages are counted from 0
	last    page            // the page last read
	more    string          // the sign of that page that there is another, "" for none
	told    string          // the same of the page before it
	urls    map[string]bool // that were read
	early   []*early        // the requests for it and pages after it that are under way
	sample  int64           // records that are enough, 0 for all
}

// first is what a first page was like.
type first struct {
	signs    signs
	fields   map[string]bool // of the answer
	keys     map[string]bool // of its first record
	hashes   map[uint64]bool // of its records
	uniform  bool            // its records are all the same
	distinct bool            // each of its records is another
}

// newPager returns a pager for an endpoint whose first request has these
// parameters beside those of the settings.
func newPager(s *source, e endpoint, more url.Values) *pager {
	p := &pager{s: s, e: e, total: -1, least: -1, pages: -1, urls: map[string]bool{}}
	c := s.settings.Pagination
	u := e.url
	for name, values := range more {
		u = with(u, name, values[0])
	}
	size := c.SizeParam
	switch c.Type {
	case "page":
		p.at, p.param = 1, orElse(c.PageParam, "page")
		if c.StartPage != nil {
			p.at = int64(*c.StartPage)
		}
		u = with(u, p.param, strconv.FormatInt(p.at, 10))
		size = orElse(size, "per_page")
		p.zero = p.at == 0
	case "offset":
		p.param = orElse(c.OffsetParam, "offset")
		u = with(u, p.param, "0")
	}
	if s.settings.PageSize > 0 {
		u = with(u, orElse(size, "limit"), strconv.Itoa(s.settings.PageSize))
	}
	p.first, p.url = u, u
	return p
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// with returns u with a query parameter set.
func with(u *url.URL, name, value string) *url.URL {
	out := *u
	query := out.Query()
	query.Set(name, value)
	out.RawQuery = query.Encode()
	return &out
}

// next returns the next page, nil after the last.
func (p *pager) next(ctx context.Context) (*page, error) {
	if len(p.ways) > 0 && !p.done {
		if err := p.probe(ctx); err != nil {
			return nil, err
		}
	}
	if p.done {
		return nil, nil
	}
	if err := p.within(); err != nil {
		return nil, err
	}
	a, err := p.get(ctx)
	if err != nil {
		return nil, p.past(err)
	}
	pg, err := p.read(a)
	if err != nil {
		return nil, err
	}
	if p.count == 0 {
		other, err := p.s.credible(ctx, p.asked(p.url), a)
		if err != nil {
			return nil, plain(err)
		}
		if other != a {
			a = other
			if pg, err = p.read(a); err != nil {
				return nil, err
			}
		}
	}
	return p.take(a, pg)
}

// asked is the request for a page.
func (p *pager) asked(u *url.URL) ask {
	q := ask{url: u, given: p.given && !p.s.paramsAlways.Load() && p.count > 0, first: p.count == 0 && p.s.cautious.Load()}
	if p.found {
		q.list = p.place.List()
	}
	return q
}

// past tells the end of numbered pages from a failure: some APIs answer 404 or 416
// behind the last page.
func (p *pager) past(err error) error {
	var status *statusError
	if !errors.As(err, &status) {
		return err
	}
	if p.count == 0 || !isNumbered(p.mode) {
		return status.err
	}
	switch status.status {
	case http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable, p.s.settings.Pagination.EndStatus:
		if p.more != "" {
			return p.contradiction(p.more, "the answer "+strconv.Itoa(status.status)+" to the next")
		}
		return p.over("the answer " + strconv.Itoa(status.status))
	case http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity:
		return driver.E(kindOf(status.err), status.err, "after %s; if that is how it answers behind its last page, set connection_config.pagination.end_status to %d", driver.Count(p.seen, "record"), status.status)
	}
	return status.err
}

// plain returns the *driver.Error in an error.
func plain(err error) error {
	var status *statusError
	if errors.As(err, &status) {
		return status.err
	}
	return err
}

// within returns an ErrLimit when no more pages may be read.
func (p *pager) within() error {
	if p.count >= p.s.maxPages {
		return driver.E(driver.ErrLimit, nil, "%s has more than %d pages; raise max_pages if that is right, or set pagination if the pages never end", where(p.e.url), p.s.maxPages)
	}
	return nil
}

// read finds the records of an answer.
func (p *pager) read(a *answer) (page, error) {
	pg := page{bytes: int64(len(a.body)), body: a.in}
	at := p.place
	if !p.found {
		var err error
		if at, err = p.locate(a); err != nil {
			return pg, err
		}
	}
	list, listed := []byte(nil), false
	switch {
	case len(a.body) == 0 || at.Shape == "single":
	case a.list != nil && p.found && at.Shape == "list":
		listed = a.in.index.List() != nil
	default:
		raw := records.Field(a.body, at.Path...)
		listed = len(raw) > 0 && (raw[0] == '[' || raw[0] == '{' && at.Shape == "map")
	}
	if err := p.s.failure(a, listed); err != nil {
		return pg, err
	}
	if len(a.body) == 0 {
		a.signs = signsOf(a, nil, p.s.settings.Pagination.Ignore)
		return pg, nil
	}
	a.signs = signsOf(a, at.Path, p.s.settings.Pagination.Ignore)
	if !listed && at.Shape != "single" {
		if err := p.missing(a, at); err != nil {
			return pg, err
		}
		a.in.index.Read(a.body, nil) // its fields, and no records
		return pg, nil
	}
	switch at.Shape {
	case "single":
		if pg.single = true; p.count > 0 {
			return pg, p.missing(a, at)
		}
		pg.list, pg.records = a.body, 1
	case "list":
		if a.list == nil || !p.found {
			a.in.index.Read(a.body, at.List())
		}
		list = a.in.index.List()
	default:
		a.top() // before the index is one of the list
		var err error
		if list, err = at.AsList(a.body); err != nil {
			return pg, driver.E(driver.ErrBadData, err, "%s", where(p.e.url))
		}
		a.in.index.Read(list, &records.List{})
	}
	if !pg.single {
		pg.list = list
		for n := range a.in.index.Len() {
			if a.in.index.Record(n)[0] != '{' {
				return pg, driver.E(driver.ErrBadData, nil, "%s answers with a list whose element %d is no object; set records_path", where(p.e.url), n+1)
			}
		}
		pg.records = a.in.index.Len()
	}
	if err := p.coded(a, pg); err != nil {
		return pg, err
	}
	if pg.records > 0 || at.Sure {
		p.place, p.found = at, true
	} else if p.count == 0 {
		p.place = at
	}
	return pg, nil
}

// locate finds where an answer keeps its records.
func (p *pager) locate(a *answer) (places.Place, error) {
	if len(a.body) == 0 {
		return places.Place{Shape: "single"}, nil
	}
	shape := orElse(p.e.RecordShape, p.s.settings.RecordShape)
	if p.e.RecordsPath == "" && shape == "" {
		at, err := places.Locate(a.body, p.e.Name)
		if p.count == 0 && p.wasMap(a, at, err) {
			return places.Place{Shape: "map"}, nil
		}
		if err == nil && at.Shape == "single" && p.count == 0 {
			if at, err = p.enveloped(a); err == nil && at.Shape == "single" {
				err = p.unlike(a)
			}
		}
		if err != nil {
			// What is wrong with an answer comes before what is open about it.
			if failed := p.s.failure(a, false); failed != nil {
				return at, failed
			}
			return at, driver.E(kindOf(err), err, "%s", where(p.e.url))
		}
		return at, nil
	}
	path, raw := places.FieldAt(a.body, p.e.RecordsPath)
	at := places.Place{Path: path, Shape: orElse(shape, "list"), Sure: true}
	switch {
	case raw == nil || string(raw) == "null":
		if failed := p.s.failure(a, false); failed != nil {
			return at, failed
		}
		if raw == nil && p.count == 0 {
			return at, driver.E(driver.ErrInvalidConfig, nil, "%s answers without a list at records_path %q", where(p.e.url), p.e.RecordsPath)
		}
	case shape == "" && raw[0] == '{' && places.IsMap(raw):
		at.Shape = "map"
	case shape == "" && raw[0] == '{', at.Shape == "list" && raw[0] != '[', at.Shape == "map" && raw[0] != '{':
		return at, driver.E(driver.ErrInvalidConfig, nil, "%s answers without a list at records_path %q; set connection_config.record_shape to \"map\" if it holds records by their keys, or \"single\"", where(p.e.url), p.e.RecordsPath)
	case raw[0] == '[':
		f := places.Found{Path: path, Raw: raw}
		if header := places.HeadingOfRows(a.body, f); header != nil {
			at.Shape, at.Header = "rows", header
		}
	}
	return at, nil
}

// enveloped refuses an object that has signs of pages and no list, because it is not a
// record. If it says that there are no records it has none.
func (p *pager) enveloped(a *answer) (places.Place, error) {
	at := places.Place{Shape: "single"}
	g := signsOf(a, nil, p.s.settings.Pagination.Ignore)
	none := g.total.known && g.total.n == 0 || g.count.known && g.count.n == 0
	if none && places.Bare(a.body) {
		at.Shape = "list"
	}
	if none || g.said() == "" && g.over == "" && !(g.page.known && (g.pages.known || g.total.known)) {
		return at, nil
	}
	return at, driver.E(driver.ErrInvalidConfig, nil, "the answer tells of pages but holds no list of records: set connection_config.records_path to it, or record_shape to \"single\" if the answer is one record")
}

// missing accepts a later answer without a list as an empty page if it has no field that
// the first answer did not have.
func (p *pager) missing(a *answer, at places.Place) error {
	if p.count == 0 || len(a.body) == 0 {
		return nil
	}
	if raw := records.Field(a.body, at.Path...); string(raw) == "null" {
		return nil
	}
	for key := range a.top() {
		if !p.begun.fields[key] {
			return p.s.refused(a.url, driver.ErrBadData, a.body, "page "+strconv.Itoa(p.count+1)+" without the list of records that the page before it had")
		}
	}
	if len(a.top()) == 0 && a.body[0] != '[' && string(a.body) != "{}" {
		return driver.E(driver.ErrBadData, nil, "%s answers page %d with something else than the page before it", where(p.e.url), p.count+1)
	}
	return nil
}

// elements yields the raw records.
func (pg *page) elements() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if pg.single {
			yield(pg.list)
			return
		}
		for n := pg.skip; n < pg.records; n++ {
			if !yield(pg.body.index.Record(n)) {
				return
			}
		}
	}
}

// same reports whether a page has exactly the records of the page before.
func (p *pager) same(pg page) bool {
	return p.count > 0 && pg.records > 0 && bytes.Equal(pg.list, p.last.list)
}

// configured reports whether the settings say how the API pages.
func (p *pager) configured() string {
	if t := p.s.settings.Pagination.Type; t != "auto" {
		return t
	}
	return ""
}

func isNumbered(mode string) bool { return slices.Contains([]string{"page", "offset"}, mode) }
