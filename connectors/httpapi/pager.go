package httpapi

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// page is the records of one answer.
type page struct {
	list    []byte // the raw array, or one object
	single  bool
	body    *body // with its index; valid until the next page, unless kept
	records int   // how many
	bytes   int64
}

// pager walks through the pages of an endpoint. It is not safe for concurrent
// use.
//
// How an API pages is read from its first answer: a Link header, the URL or
// cursor of the next page, page numbers or an offset. When nothing is said, the
// second page is asked for, by number and then by offset; what comes back tells
// whether the API understood, because one that did not gives the first page
// again.
type pager struct {
	s     *source
	e     endpoint
	url   *url.URL // of the next page
	done  bool
	mode  string // link, next_url, cursor, page, offset, after or probe; "" before the first page
	param string
	at    int64 // page number or offset of the page last read
	list  records.List
	found bool // list was found in an answer that had records

	count  int             // pages
	seen   int64           // records
	total  int64           // that the API says there are, -1 is unknown
	pages  int64           // that it says there are, -1 is unknown
	last   page            // the page last read
	urls   map[string]bool // that were read
	early  []*early        // the requests for it and pages after it that are under way
	sample int64           // records that are enough, 0 for all
}

func newPager(s *source, e endpoint) *pager {
	p := &pager{s: s, e: e, url: e.url, total: -1, pages: -1, urls: map[string]bool{}}
	c := s.settings.Pagination
	if c.Type != "" && c.Type != "auto" {
		p.mode = c.Type
	}
	size := c.SizeParam
	switch p.mode {
	case "page":
		p.at, p.param = 1, orElse(c.PageParam, "page")
		if c.StartPage != nil {
			p.at = int64(*c.StartPage)
		}
		p.url = with(p.url, p.param, strconv.FormatInt(p.at, 10))
		size = orElse(size, "per_page")
	case "offset":
		p.param = orElse(c.OffsetParam, "offset")
		p.url = with(p.url, p.param, "0")
	}
	if s.settings.PageSize > 0 {
		p.url = with(p.url, orElse(size, "limit"), strconv.Itoa(s.settings.PageSize))
	}
	if e.RecordsPath != "" {
		p.list, p.found = records.List{Path: strings.Split(e.RecordsPath, ".")}, true
	}
	return p
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// next returns the next page, or nil after the last.
func (p *pager) next(ctx context.Context) (*page, error) {
	if p.done {
		return nil, nil
	}
	if p.mode == "probe" {
		return p.probe(ctx)
	}
	if err := p.within(); err != nil {
		return nil, err
	}
	a, err := p.get(ctx)
	if err != nil {
		var status *statusError
		// Some APIs answer 404 after the last numbered page.
		if errors.As(err, &status) && status.status == http.StatusNotFound && p.count > 0 && (p.mode == "page" || p.mode == "offset") {
			return nil, p.end(false)
		}
		return nil, plain(err)
	}
	pg, err := p.read(a)
	if err != nil {
		return nil, err
	}
	return p.take(a, pg)
}

// plain returns the *driver.Error in an error, which is all that callers know.
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
	if len(a.body) == 0 {
		return pg, nil
	}
	list := p.list
	if !p.found {
		var err error
		if list, err = records.Locate(a.body, p.e.Name); err != nil {
			return pg, driver.E(driver.ErrBadData, err, "%s", where(p.e.url))
		}
	}
	if a.list == nil || !p.found {
		a.in.index.Read(a.body, &list)
	}
	if pg.single = list.Single; pg.single {
		pg.list = list.Records(a.body)
	} else {
		pg.list = a.in.index.List()
	}
	switch {
	case pg.single:
		pg.records = 1
	case pg.list == nil && p.e.RecordsPath != "" && p.count == 0:
		return pg, driver.E(driver.ErrInvalidConfig, nil, "%s answers without a list at records_path %q", where(p.e.url), p.e.RecordsPath)
	default:
		for n := range a.in.index.Len() {
			if a.in.index.Record(n)[0] != '{' {
				return pg, driver.E(driver.ErrBadData, nil, "%s answers with a list whose element %d is no object; set records_path", where(p.e.url), n+1)
			}
		}
		pg.records = a.in.index.Len()
	}
	if pg.records > 0 && (p.found || p.count == 0 || !pg.single) {
		p.list, p.found = list, true
	}
	return pg, nil
}

// take accepts a page and finds the way to the one after it.
func (p *pager) take(a *answer, pg page) (*page, error) {
	g := detect(a)
	p.pages = int64(g.pages)
	if g.total >= 0 {
		p.total = g.total
	} else if p.count == 0 && g.count > int64(pg.records) {
		p.total = g.count // not the number of records on this page
	}
	if pg.single && p.count > 0 {
		// An empty page may be an object without any list.
		pg.records, pg.list, pg.single = 0, nil, false
		pg.body.index.Read(nil, nil)
	}
	same := p.count > 0 && pg.records > 0 && bytes.Equal(pg.list, p.last.list)
	if same && (p.mode == "page" || p.mode == "offset" || p.mode == "after") {
		return nil, p.end(true)
	}
	if same {
		return nil, driver.E(driver.ErrBadData, nil, "%s gives the same records again as its next page; set pagination, with cursor_param for example", where(p.e.url))
	}
	p.count++
	p.seen += int64(pg.records)
	p.urls[a.url.String()] = true
	p.s.letGo(p.last.body)
	p.last = pg
	if err := p.advance(a, g, pg); err != nil {
		return nil, err
	}
	return &pg, nil
}

// end ends the walk. ignored is set when the API did not understand what asks
// for the next page: then there must be none.
func (p *pager) end(ignored bool) error {
	p.done = true
	if ignored && p.total > p.seen {
		return driver.E(driver.ErrBadData, nil, "%s says that it has %d records, but gave %d and then no other page; set pagination, or pagination.type to \"none\" if these are all", where(p.e.url), p.total, p.seen)
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
		for n := range pg.records {
			if !yield(pg.body.index.Record(n)) {
				return
			}
		}
	}
}

// repeats reports whether most records of a page were on the one before.
func (p *pager) repeats(pg page) bool {
	before := map[string]bool{}
	for element := range p.last.elements() {
		before[string(element)] = true
	}
	again := 0
	for element := range pg.elements() {
		if before[string(element)] {
			again++
		}
	}
	return again*2 > pg.records
}
