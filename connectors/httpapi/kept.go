package httpapi

import (
	"maps"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/places"
	"headwater/connectors/records"
)

// keyColumn is the column of the keys of records that come as a map.
const keyColumn = "_key"

// Know is told the columns that the tables had the last time. An answer in which no
// list is found must look like their records: an API that answers in another form for
// once would have that one object replace them.
func (s *source) Know(tables []driver.Table) {
	s.before = map[string][]string{}
	for _, t := range tables {
		for _, c := range t.Columns {
			if c.Name != records.Extra {
				s.before[t.Name] = append(s.before[t.Name], c.Name)
			}
		}
	}
}

// wasMap reports whether an answer of one object has records by their keys, as there
// were before: none, or such as were known.
func (p *pager) wasMap(a *answer, at places.Place, err error) bool {
	before := p.s.before[p.e.Name]
	if !slices.Contains(before, keyColumn) || a.body[0] != '{' || err != nil && len(a.top()) > 0 || err == nil && at.Shape != "single" {
		return false
	}
	before = slices.DeleteFunc(slices.Clone(before), func(name string) bool { return name == keyColumn })
	for _, value := range a.top() {
		if value[0] != '{' || !records.Resembles(before, slices.Collect(maps.Keys(keysOf(value))), false) {
			return false
		}
	}
	return true
}

// unlike refuses an answer of one object that is not like the records that were known
// before.
func (p *pager) unlike(a *answer) error {
	before, fields := p.s.before[p.e.Name], slices.Sorted(maps.Keys(a.top()))
	if len(before) == 0 || records.Resembles(before, fields, false) {
		return nil
	}
	return driver.E(driver.ErrBadData, nil, "the answer is one object with the fields %s, where there were records with the columns %s: set connection_config.record_shape to \"single\" if that object is the record now, or records_path to where the records are",
		records.FirstFew(fields), records.FirstFew(before))
}
