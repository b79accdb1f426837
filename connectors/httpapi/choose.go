package httpapi

import (
	"fmt"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/places"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

// take accepts a page and finds the way to the one after it. It returns nil if the
// answer is the end and not a page.
func (p *pager) take(a *answer, pg page) (*page, error) {
	g := a.signs
	p.note(g, pg)
	if p.count > 0 {
		if end, err := p.repeated(a, pg); end || err != nil {
			return nil, err
		}
	} else {
		p.begun = firstOf(a, pg)
	}
	p.count++
	p.seen += int64(pg.records)
	p.largest = max(p.largest, pg.records)
	p.urls[a.url.String()] = true
	if isNumbered(p.mode) && p.count > 1 {
		p.moved(g, &pg)
	}
	p.s.letGo(p.last.body)
	p.last, p.told, p.more = pg, p.more, p.promised(g)
	if err := p.advance(a, g, pg); err != nil {
		return nil, err
	}
	return &pg, nil
}

// note remembers what an answer says about all pages.
func (p *pager) note(g signs, pg page) {
	p.pages = -1
	if g.pages.known {
		p.pages = g.pages.n
	}
	total := g.total
	if !total.known && g.count.known && (p.count == 0 && g.count.n > int64(pg.records) || p.count > 0 && p.total >= 0 && p.begun.signs.count.known) {
		total = g.count // not the number of records on this page
	}
	if total.known {
		p.total = total.n
		if p.least < 0 || total.n < p.least {
			p.least = total.n
		}
	}
}

// advance finds the way to the page after pg.
func (p *pager) advance(a *answer, g signs, pg page) error {
	if err := p.configure(a, &g); err != nil {
		return err
	}
	switch p.mode {
	case "":
		return p.choose(a, g, pg)
	case "none":
		p.done = true
		return nil
	case "link":
		return p.follow(a.url, g, "Link")
	case "next_url":
		return p.follow(a.url, g, p.sign)
	case "token":
		return p.token(g)
	case "after":
		return p.after(g, pg)
	}
	return p.numbered(g, pg)
}

// configure replaces what was found with what the settings say. A field that they name
// must be in the first answer, unless that has few records.
func (p *pager) configure(a *answer, g *signs) error {
	c := p.s.settings.Pagination
	set := func(setting, name string, raw []byte, there bool) error {
		if name == "" {
			return nil
		}
		if !there && p.count == 1 && g.over == "" && (words.Round(p.last.records) || p.last.records == p.s.settings.PageSize || g.said() != "") {
			return driver.InvalidField("pagination."+setting, "is %q, which the first answer of %s does not have%s", name, where(p.e.url), p.offer(*g))
		}
		g.nexts, g.tokens = nil, nil
		switch text := string(records.Unquote(raw)); {
		case len(raw) == 0 || empty(raw):
			g.gone = append(g.gone, name)
		case setting == "cursor_field" || setting == "next_header" && !looksLikeURL(text):
			g.tokens = []token{{name, text, words.Unique([]string{orElse(c.CursorParam, words.TokenParams(name)[0])})}}
			if c.CursorParam == "" {
				g.tokens[0].params = words.TokenParams(name)
			}
		default:
			g.nexts = []link{{name, text}}
		}
		return nil
	}
	field := func(name string) ([]byte, bool) {
		if name == "" || len(a.body) == 0 || a.body[0] != '{' {
			return nil, false
		}
		_, raw := places.FieldAt(a.body, name)
		return raw, raw != nil
	}
	raw, there := field(c.NextField)
	if err := set("next_field", c.NextField, raw, there); err != nil {
		return err
	}
	raw, there = field(c.CursorField)
	if err := set("cursor_field", c.CursorField, raw, there); err != nil {
		return err
	}
	if c.NextHeader != "" {
		raw = []byte(a.header.Get(c.NextHeader))
		if err := set("next_header", c.NextHeader, raw, len(a.header.Values(c.NextHeader)) > 0); err != nil {
			return err
		}
	}
	if c.CursorParam != "" {
		for i := range g.tokens {
			g.tokens[i].params = []string{c.CursorParam}
		}
	}
	return nil
}

// choose finds the way to the second page from the first answer. What is not certain it
// leaves to probe.
func (p *pager) choose(a *answer, g signs, pg page) error {
	c := p.s.settings.Pagination
	kind := p.configured()
	if kind == "" {
		switch {
		case c.NextField != "":
			kind = "next_url"
		case c.CursorField != "":
			kind = "cursor"
		}
	}
	switch kind {
	case "none":
		p.mode, p.done = kind, true
		return nil
	case "page", "offset":
		p.mode, p.step = kind, p.stepOf(g, pg)
		if err := p.numbered(g, pg); err != nil || p.done || kind == "page" {
			return err
		}
		p.doubtful(pg)
		return nil
	}
	isLink := func(l link) bool { return l.name == "Link" }
	nexts := g.nexts
	if kind == "link" || kind == "next_url" || kind == "cursor" {
		nexts = nil
		for _, l := range g.nexts {
			if kind != "cursor" && isLink(l) == (kind == "link") {
				nexts = append(nexts, l)
			}
		}
	}
	switch {
	case g.over != "":
		return p.over(g.over)
	case len(nexts) > 0 && isLink(nexts[0]):
		p.mode = "link"
		return p.follow(a.url, g, "Link")
	case len(nexts) > 0:
		p.mode, p.sign = "next_url", nexts[0].name
		return p.follow(a.url, g, p.sign)
	case kind == "link", kind == "next_url", kind == "cursor" && len(g.tokens) == 0:
		return p.atEnd(g, pg)
	case pg.single:
		p.done = true
		return nil
	}
	p.ways = p.waysOf(g, pg, kind)
	if len(p.ways) > 0 {
		return nil
	}
	return p.atEnd(g, pg)
}

// atEnd ends the walk after a first page that names no other, if a sign says that there
// is none or the page is not full.
func (p *pager) atEnd(g signs, pg page) error {
	if g.linked || len(g.gone) > 0 {
		return p.over(append(g.gone, "Link")[0])
	}
	if proof := p.complete(g, pg); proof != "" {
		return p.over(proof)
	}
	return p.unproven(g, pg, nil)
}

// complete returns the numbers which say that the first page is all, "" if there are
// none.
func (p *pager) complete(g signs, pg page) string {
	switch {
	case g.pages.known && (g.pages.n <= 1 || g.page.known && g.page.n >= g.pages.n):
		return g.pages.name
	case p.total >= 0 && p.seen == p.total && !g.atLeast: // a smaller number counts something else
		return "total"
	case pg.records == 0 && !(p.total > 0):
		return "an empty list"
	}
	return ""
}

// over ends the walk by a sign, or fails if another sign contradicts it.
func (p *pager) over(proof string) error {
	p.done = true
	if p.begun == nil {
		return nil
	}
	if covered := p.covered(); p.least > covered {
		return driver.E(driver.ErrBadData, nil, "%s says that it has %s, but gave %d and then no other page (%s); set connection_config.pagination, with \"ignore\": [%q] in it if that number means something else, or {\"type\": \"none\"} if these are all",
			where(p.e.url), driver.Count(p.least, "record"), p.seen, proof, p.totalName())
	}
	return nil
}

// covered returns how many records the pages so far had room for: some APIs leave out of
// a page what the caller may not see.
func (p *pager) covered() int64 {
	step := int64(p.largest) // what a page was seen to hold, not what was asked for
	if p.mode != "offset" {
		return max(p.seen, int64(p.count)*step)
	}
	if p.count > 1 {
		step = max(step, p.step) // proven by the page after the first
	}
	return max(p.seen, p.at+step)
}

func (p *pager) totalName() string {
	if g := p.begun.signs; !g.total.known && g.count.known {
		return g.count.name
	}
	return orElse(p.begun.signs.total.name, "total")
}

// contradiction is the error for signs of which one says that there is more and another
// that there is not.
func (p *pager) contradiction(more, over string) error {
	return driver.E(driver.ErrBadData, nil, "%s contradicts itself on page %d: %s says that there is a next page and %s that there is none; set connection_config.pagination, with \"ignore\": [%q] in it if that means something else",
		where(p.e.url), p.count, more, over, more)
}

// unproven ends the walk after a first page if nothing says that there is more. It fails
// if there may well be more.
func (p *pager) unproven(g signs, pg page, tried []string) error {
	p.done = true
	why := p.untold(g, pg)
	if why == "" && p.full(g, pg) {
		why = fmt.Sprintf("gave %s, which may be one page of many, and nothing says that this is all", driver.Count(pg.records, "record"))
	}
	if why == "" {
		return nil
	}
	if len(tried) > 0 {
		why += ", and took no notice of " + strings.Join(tried[:min(len(tried), 12)], ", ")
	}
	return driver.E(driver.ErrInvalidConfig, nil, "%s %s%s", where(p.e.url), why, p.offer(g))
}

// untold returns what says that there are more records than those of the first page, ""
// if nothing does.
func (p *pager) untold(g signs, pg page) string {
	switch {
	case g.said() != "":
		return fmt.Sprintf("says by %s that there are more", g.said())
	case p.total > p.seen && p.total >= 0:
		return fmt.Sprintf("says that it has %s and gave %d", driver.Count(p.total, "record"), p.seen)
	case g.pages.known && g.pages.n > 1:
		return fmt.Sprintf("says by %s that it has %s", g.pages.name, driver.Count(g.pages.n, "page"))
	case len(g.odd) > 0:
		return fmt.Sprintf("has the field %s, which may lead to more", g.odd[0])
	case len(g.counting(pg)) > 0:
		return fmt.Sprintf("has %s, which may count more than the %s that it gave", g.counting(pg), driver.Count(pg.records, "record"))
	}
	return ""
}

// full reports whether a page may have had no room for more records.
func (p *pager) full(g signs, pg page) bool {
	n := pg.records
	name := g.size.name[strings.LastIndexByte(g.size.name, '.')+1:]
	return n > 0 && (words.Round(n) || n == p.s.settings.PageSize || g.size.known && words.FullBy[words.Plain(name)] && int64(n) == g.size.n)
}

// counting returns a sign without a known name that is a number larger than a page, ""
// if there is none.
func (g *signs) counting(pg page) string {
	for _, m := range g.maybe {
		if pg.records > 0 && m.n > int64(pg.records) {
			return m.name
		}
	}
	return ""
}

// offer is the settings to choose from if the way to the next page is not certain.
func (p *pager) offer(g signs) string {
	var list []string
	for _, t := range g.tokens {
		setting := "cursor_field"
		if !strings.Contains(t.name, ".") && p.begun != nil && !p.begun.fields[t.name] {
			setting = "next_header"
		}
		list = append(list, fmt.Sprintf(`{"type": "cursor", %q: %q, "cursor_param": "..."}`, setting, t.name))
	}
	for _, l := range g.nexts {
		list = append(list, fmt.Sprintf(`{"type": "next_url", "next_field": %q}`, l.name))
	}
	list = append(list, `{"type": "page", "page_param": "..."}`, `{"type": "offset", "offset_param": "...", "size_param": "..."}`, `{"type": "cursor", "cursor_field": "...", "cursor_param": "..."}`, `{"type": "next_url", "next_field": "..."}`, `{"type": "none"} if these are all`)
	for _, name := range words.Unique(append([]string{g.more, g.counting(p.last)}, g.odd...)) {
		list = append(list, fmt.Sprintf(`{"ignore": [%q]} if that means something else`, name))
	}
	return ": set connection_config.pagination to one of " + strings.Join(words.Unique(list), ", ")
}
