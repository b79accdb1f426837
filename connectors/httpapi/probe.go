package httpapi

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
)

// way is one way to ask for the second page. The answer proves it, or does not.
type way struct {
	mode, param, value string
	sign               string
	at                 int64
	sure               bool // an empty answer is an empty page
	near               bool // goes on behind the records that came, not those that were asked for
}

// waysOf returns the ways to a second page, the likeliest first. If nothing says that
// there is one, the ways that most APIs understand are tried nevertheless.
func (p *pager) waysOf(g signs, pg page, kind string) (ways []way) {
	for _, t := range g.tokens {
		for i, param := range t.params {
			if len(ways) < 16 {
				ways = append(ways, way{mode: "token", param: param, value: t.value, sign: t.name, sure: i == 0 && !slices.Contains([]string{"page", "token", "key"}, param)})
			}
		}
	}
	if kind == "cursor" || len(g.odd) > 0 && len(ways) == 0 {
		return ways
	}
	proof := p.complete(g, pg)
	known := g.total.known && !g.atLeast || g.pages.known
	switch {
	case len(g.tokens) > 0:
	case len(g.gone) > 0 && g.more == "":
		return nil
	case g.linked && g.more == "" && !(p.total > p.seen):
		return nil
	case proof != "" && !(proof == "total" && words.Capped(p.total) && pg.records > 0):
		return nil
	case proof != "":
		return p.numberedWays(g, pg, false)
	}
	if pg.records == 0 && g.said() == "" && !known {
		return ways
	}
	told := g.more != "" || p.total > p.seen || g.pages.known || g.counting(pg) != ""
	if g.more != "" {
		if id := lastID(pg); id != "" && (g.lastID.value != "" || p.begun.fields["object"]) {
			ways = append(ways, p.afterWays(g, id)...)
		}
	}
	ways = append(ways, p.numberedWays(g, pg, told || p.full(g, pg))...)
	if id := lastID(pg); g.more != "" && id != "" {
		ways = append(ways, p.afterWays(g, id)...)
	}
	return ways
}

func (p *pager) afterWays(g signs, id string) (ways []way) {
	params := []string{"starting_after", "after", "after_id"}
	if g.lastID.value != "" {
		params = []string{"after", "after_id", "starting_after"}
	}
	for _, param := range params {
		ways = append(ways, way{mode: "after", param: param, value: id, sign: orElse(g.lastID.name, "id"), sure: param == "starting_after"})
	}
	return ways
}

// numberedWays returns the ways by page number and by offset.
func (p *pager) numberedWays(g signs, pg page, wide bool) []way {
	c := p.s.settings.Pagination
	var pages, offsets []way
	next := int64(2)
	if g.page.known {
		next = g.page.n + 1
	}
	params := []string{c.PageParam}
	if c.PageParam == "" {
		if params = append(paramsLike(g.page.name, "number", "current"), "page"); wide {
			params = append(params, "pageNumber", "page_number", "page[number]", "pagination[page]", "p")
		}
	}
	for _, param := range words.Unique(params) {
		pages = append(pages, way{mode: "page", param: param, at: next})
	}
	from, step := int64(0), p.stepOf(g, pg)
	if g.offset.known {
		from = g.offset.n
	}
	params = []string{c.OffsetParam}
	if c.OffsetParam == "" {
		params = paramsLike(g.offset.name)
		for _, name := range params {
			params = append(params, "$"+name)
		}
		if params = append(params, "offset"); wide {
			params = append(params, "$offset", "skip", "$skip", "start", "from", "startAt", "startIndex")
		}
	}
	for _, param := range words.Unique(params) {
		at := from + step
		if strings.EqualFold(strings.Trim(param, "$"), "startIndex") && from == 0 {
			at++ // SCIM counts from 1
		}
		offsets = append(offsets, way{mode: "offset", param: param, at: at})
	}
	if g.offset.known && !g.page.known && !g.pages.known {
		return append(offsets, pages...)
	}
	return append(pages, offsets...)
}

// paramsLike returns the parameters that a field which says where a page is may be asked
// for by: its own name, unless it is among several.
func paramsLike(name string, others ...string) []string {
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		name = name[at+1:]
	}
	plain := words.Plain(name)
	switch {
	case name == "" || slices.Contains(others, plain) || strings.HasPrefix(plain, "current") || strings.HasPrefix(plain, "x") || plain == "contentrange":
		return nil
	}
	return []string{name}
}

// tried is the outcome of a way.
type tried int

const (
	ignored  tried = iota // the API took no notice of the parameter, or refused it
	nothing               // it answered with no record
	accepted              // it answered with other records
)

// probe asks for the second page in one way after another until an answer has other
// records like those of the first page. next then returns that answer.
func (p *pager) probe(ctx context.Context) error {
	ways, g := p.ways, p.begun.signs
	if p.doubt {
		return p.settle(ctx, ways[0])
	}
	p.ways = nil
	must := g.said() != "" || p.total > p.seen || g.pages.known && p.complete(g, p.last) == "" || g.counting(p.last) != ""
	var names []string
	var said error
	for _, w := range ways {
		if err := p.within(); err != nil {
			return err
		}
		e, pg, verdict, err := p.attempt(ctx, w)
		if err != nil {
			return err
		}
		if e != nil && e.err != nil {
			said = e.err
		}
		if n, step := int64(p.last.records), p.stepOf(g, p.last); verdict == nothing && w.mode == "offset" && n < step {
			// The API may give fewer to a page than were asked for.
			near := way{mode: w.mode, param: w.param, at: w.at - step + n, near: true}
			closer, behind, v, err := p.attempt(ctx, near)
			if err != nil {
				return err
			}
			if v == accepted && p.begun.repeats(behind) == 0 {
				w, e, verdict = near, closer, v
			}
		}
		if verdict != ignored && w.mode == "page" && !g.page.known && p.s.settings.Pagination.StartPage == nil && (verdict == accepted || p.last.records >= 10 || p.full(g, p.last) || must) {
			verdict, err = p.numbering(ctx, w, e, pg, verdict)
			if err != nil || p.done || p.mode != "" {
				return err
			}
		} else if verdict == nothing && w.mode == "offset" && p.full(g, p.last) && !must {
			// Only a parameter that has an effect proves by an empty page.
			if _, again, v, err := p.attempt(ctx, way{mode: "offset", param: w.param, at: 0}); err != nil {
				return err
			} else if v == ignored && again.records > 0 && p.begun.again(again) {
				return p.over("an empty page behind " + w.param)
			}
			verdict = ignored
		}
		switch {
		case verdict == accepted:
			if p.keep(w, e); p.doubt {
				return p.settle(ctx, p.ways[0])
			}
			return nil
		case verdict == nothing && (w.sure && !stillMore(e.answer) || !must && w.mode == "page" && p.last.records < 10 && !p.full(g, p.last)):
			return p.over("an empty page behind " + w.param)
		}
		names = append(names, w.param)
	}
	if !must && p.total >= 0 && p.total == p.seen {
		return p.over("total")
	}
	if err := p.unproven(g, p.last, words.Unique(names)); err != nil {
		var typed *driver.Error
		if errors.As(said, &typed) && errors.As(err, &typed) && must {
			return driver.E(driver.ErrInvalidConfig, nil, "%v (to %s it said: %s)", err, names[len(names)-1], said)
		}
		return err
	}
	return nil
}

// stillMore reports whether an answer says that there are pages after it.
func stillMore(a *answer) bool { return a != nil && a.signs.said() != "" }

// attempt asks for the second page in one way.
func (p *pager) attempt(ctx context.Context, w way) (e *early, pg page, verdict tried, err error) {
	value := w.value
	if isNumbered(w.mode) {
		value = strconv.FormatInt(w.at, 10)
	}
	u := with(p.first, w.param, value)
	a, err := p.s.get(ctx, ask{url: u})
	e = &early{url: u, answer: a, err: err, done: done, cancel: func() {}}
	var status *statusError
	if errors.As(err, &status) && status.status >= 400 && status.status < 500 && !slices.Contains([]int{408, 425, 429}, status.status) {
		return e, pg, ignored, nil
	}
	if err != nil {
		return nil, pg, ignored, plain(err)
	}
	if pg, err = p.read(a); err != nil {
		e.err = err
		return e, pg, ignored, nil // the API says that it does not understand
	}
	g := a.signs
	switch {
	case pg.records == 0 && w.mode == "page" && g.page.known && p.begun.signs.page.known && g.page.n == w.at && w.at != p.begun.signs.page.n,
		pg.records == 0 && w.mode == "offset" && g.offset.known && g.offset.n == w.at && p.begun.signs.offset.known && g.total.known && g.total.n > w.at:
		return e, pg, accepted, nil // it says that it is that page, of which all is hidden
	case pg.records == 0:
		return e, pg, nothing, nil
	case w.mode == "page" && g.page.known && p.begun.signs.page.known && g.page.n == w.at && w.at != p.begun.signs.page.n && p.begun.alike(pg):
		return e, pg, accepted, nil // it says that it is that page
	case w.mode == "offset" && g.offset.known && p.begun.signs.offset.known && g.offset.n == w.at && p.begun.alike(pg) && !p.begun.again(pg):
		return e, pg, accepted, nil
	case p.begun.again(pg), !p.begun.alike(pg), w.mode == "page" && g.page.known && p.begun.signs.page.known && g.page.n == p.begun.signs.page.n:
		return e, pg, ignored, nil
	}
	if n := p.begun.repeats(pg); w.mode == "offset" && n > 1 && p.s.settings.PageSize == 0 && !p.begun.signs.size.known {
		return nil, pg, ignored, driver.E(driver.ErrInvalidConfig, nil, "%s gave %s of its first page again behind %s: set connection_config.page_size to how many records it counts to a page", where(p.e.url), driver.Count(n, "record"), w.param)
	}
	return e, pg, accepted, nil
}

// done is a closed channel, for requests that are answered already.
var done = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// numbering finds out whether pages are counted from 0 or 1: whether the page with the
// number 1 is the second one or the first. It also proves that a parameter has an effect
// if its answer was empty.
func (p *pager) numbering(ctx context.Context, w way, second *early, pg page, verdict tried) (tried, error) {
	one, first, v, err := p.attempt(ctx, way{mode: "page", param: w.param, at: 1})
	if err != nil {
		return ignored, err
	}
	switch {
	case v == ignored && one.err == nil && first.records > 0 && p.begun.again(first):
		if verdict == accepted {
			return accepted, nil
		}
		if p.total > p.seen {
			return ignored, nil
		}
		return ignored, p.over("an empty page behind " + w.param)
	case v == accepted:
		// Page 1 is the second one: the first has the number 0.
		p.zero = true
		p.keep(way{mode: "page", param: w.param, at: 1}, one)
		if verdict == accepted {
			p.early = append(p.early, second)
		}
		return accepted, nil
	}
	return ignored, nil
}

// keep goes on in the way that an answer has proven, with that answer.
func (p *pager) keep(w way, e *early) {
	p.mode, p.param, p.sign, p.at, p.tried = w.mode, w.param, w.sign, w.at, w.value
	if w.mode == "page" && p.begun.signs.page.known {
		p.zero = p.begun.signs.page.n == 0
	}
	p.url, p.early = e.url, []*early{e}
	if p.mode == "offset" {
		p.step = p.stepOf(p.begun.signs, p.last)
		if p.doubtful(p.last); w.near {
			p.step, p.doubt, p.ways = int64(p.last.records), false, nil
		}
	}
}
