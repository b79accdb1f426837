package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

// stepOf returns how far an offset moves: by what was asked for and not by what came,
// because some APIs hide records after counting them.
func (p *pager) stepOf(g signs, pg page) int64 {
	switch {
	case p.s.settings.PageSize > 0:
		return int64(p.s.settings.PageSize)
	case g.size.known && g.size.n >= int64(pg.records) && g.size.n > 0:
		return g.size.n
	}
	return int64(pg.records)
}

// doubtful makes probe find out the step of offsets if fewer records came than were
// asked for, or than the API says that a page has.
func (p *pager) doubtful(pg page) {
	if n := int64(pg.records); n > 0 && n < p.step {
		p.doubt = true
		p.ways = []way{{mode: "offset", param: p.param, at: p.at - p.step + n}}
	}
}

// settle asks for what is behind the records that came. If some of them come again, or
// the same comes behind all that was asked for, others were hidden, and offsets move by
// what was asked for. Otherwise the API gives no more to a page.
func (p *pager) settle(ctx context.Context, w way) error {
	p.doubt, p.ways = false, nil
	e, pg, verdict, err := p.attempt(ctx, w)
	if err != nil || verdict == nothing || e.err != nil || p.begun.repeats(pg) > 0 {
		return err
	}
	_, far, v, err := p.attempt(ctx, way{mode: "offset", param: w.param, at: p.at})
	if err != nil || v == accepted && bytes.Equal(far.body.index.Record(0), pg.body.index.Record(0)) {
		return err
	}
	p.step = w.at - (p.at - p.step)
	p.at, p.url, p.early = w.at, e.url, []*early{e}
	return nil
}

// turn goes to a page number or offset.
func (p *pager) turn(at int64) {
	p.at = at
	p.url = with(p.first, p.param, strconv.FormatInt(at, 10))
}

// repeated tells a page from an end that answers an earlier page once more, at which it
// ends the walk.
func (p *pager) repeated(a *answer, pg page) (end bool, err error) {
	g := a.signs
	more := p.promised(g)
	if p.mode == "page" && g.page.known && p.begun.signs.page.known && g.page.n != p.at && (pg.records == 0 || p.begun.again(pg) || p.same(pg)) {
		if more != "" && !p.begun.again(pg) && !p.same(pg) {
			return true, p.contradiction(more, g.page.name)
		}
		if p.more != "" {
			return true, p.contradiction(p.more, "page "+strconv.FormatInt(p.at, 10)+", which is page "+strconv.FormatInt(g.page.n, 10)+" again,")
		}
		return true, p.over("page " + strconv.FormatInt(p.at, 10) + " answers page " + strconv.FormatInt(g.page.n, 10))
	}
	same := p.same(pg)
	if !same && !(isNumbered(p.mode) && p.begun.again(pg)) {
		return false, nil
	}
	if p.begun.uniform && (more != "" || p.more != "") {
		return false, nil // records that are all the same tell no page from another
	}
	switch {
	case isNumbered(p.mode) && (more != "" || p.begun.uniform) && p.echoes(g):
		return false, nil
	case p.more != "" && (isNumbered(p.mode) || p.mode == "after") && (p.count > 1 || more == ""):
		return true, p.contradiction(p.more, "a page that repeats an earlier one")
	case isNumbered(p.mode) && p.count > 1 && p.last.records >= p.largest && !p.begun.uniform && !p.s.settings.Pagination.RepeatsAtEnd:
		return true, driver.E(driver.ErrBadData, nil, "%s answers page %d with an earlier page, and the page before it was full: either that was the last, or the API lets nobody read further. If it was, set connection_config.pagination.repeats_at_end to true", where(p.e.url), p.count+1)
	case isNumbered(p.mode) && (p.count > 1 || more == ""), p.mode == "after" && p.count > 1:
		return true, p.over("a page that repeats an earlier one")
	}
	return true, driver.E(driver.ErrBadData, nil, "%s gives the same records again as its next page; set pagination, with cursor_param for example", where(p.e.url))
}

// moved finds out whether records came or went while numbered pages were read, which
// moves others from one page to another. Records of the page before are not taken again;
// a note says what may be missing.
func (p *pager) moved(g signs, pg *page) {
	if before := p.begun.signs.total; before.known && g.total.known && g.total.n < before.n && !g.atLeast {
		pg.note = fmt.Sprintf("%s told of %s on its first page and of %d on a later one: some were removed while it was read, and as many others may be missing. A sync at a quieter time has them.", p.e.Name, driver.Count(before.n, "record"), g.total.n)
	}
	if !p.begun.distinct || pg.single || pg.records == 0 || p.last.body == nil {
		return
	}
	// Of k records that came in front, the last k of the page before come again.
	head := pg.body.index.Record(0)
	for n := range p.last.records {
		k := p.last.records - n
		if k > pg.records || !bytes.Equal(p.last.body.index.Record(n), head) {
			continue
		}
		same := true
		for i := range k {
			same = same && bytes.Equal(p.last.body.index.Record(n+i), pg.body.index.Record(i))
		}
		switch {
		case same && (len(p.e.PrimaryKey) > 0 || len(records.Field(head, "id")) > 0):
			pg.skip = k
			return
		case same: // without a key they may be others that look the same
			pg.note = fmt.Sprintf("%s began a page with the records that the page before ended with: what came in while it was read pushed some from one page to the next, and they may be there twice.", p.e.Name)
			return
		}
	}
}

// echoes reports whether an answer says that it is the page that was asked for.
func (p *pager) echoes(g signs) bool {
	return p.mode == "page" && g.page.known && g.page.n == p.at && p.begun.signs.page.known && p.begun.signs.page.n != p.at || p.mode == "offset" && g.offset.known && g.offset.n == p.at
}

// promised returns the sign which says that there are pages after the one at p.at, "" if
// there is none.
func (p *pager) promised(g signs) string {
	if s := g.said(); s != "" {
		return s
	}
	if p.mode == "page" && g.pages.known && p.at < p.lastPage(g) {
		return g.pages.name
	}
	return ""
}

// lastPage returns the number of the last page, which is one less than the number of
// pages if they are counted from 0.
func (p *pager) lastPage(g signs) int64 {
	if p.zero {
		return g.pages.n - 1
	}
	return g.pages.n
}

// numbered goes on by page number or offset, or ends on proof: a sign, as many records
// as the total counts, or an empty page.
func (p *pager) numbered(g signs, pg page) error {
	step := int64(1)
	if p.mode == "offset" {
		step = max(p.step, 1)
	}
	more, over := p.promised(g), g.over
	if over == "" && p.mode == "page" && g.pages.known && p.at >= p.lastPage(g) {
		over = g.pages.name
	}
	if over == "" && len(g.gone) > 0 && len(g.nexts)+len(g.tokens) == 0 && slices.Contains(append(p.begun.names(), p.begun.signs.gone...), g.gone[0]) {
		over = g.gone[0]
	}
	switch {
	case more != "" && over != "":
		return p.contradiction(more, over)
	case more != "":
	case over != "":
		return p.over(over)
	case p.total >= 0 && p.total >= p.seen && p.covered() >= p.total && !(words.Capped(p.total) && pg.records > 0 && pg.records >= p.largest) && !g.atLeast:
		return p.over("total")
	case pg.records == 0 && p.count == 1 && p.configured() == "" && p.total > 0:
		return p.unproven(g, pg, nil)
	case pg.records == 0 && p.told != "":
		return p.contradiction(p.told, "an empty page behind it")
	case pg.records == 0:
		return p.over("an empty page")
	}
	p.turn(p.at + step)
	return nil
}

// names returns the fields of the first answer that held the next page.
func (f *first) names() (names []string) {
	for _, l := range f.signs.nexts {
		names = append(names, l.name)
	}
	for _, t := range f.signs.tokens {
		names = append(names, t.name)
	}
	return names
}
