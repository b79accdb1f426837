package httpapi

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

// changeNames are fields that say when a record was last changed, the likeliest first,
// in plain form.
var changeNames = strings.Fields(`updatedat modifiedat lastmodifiedat lastupdatedat lastmodified lastupdated lastupdate updatedon modifiedon updateddatetime lastmodifieddatetime
	lastmodifieddate lastupdateddate datemodified dateupdated updateddate modifieddate updatetime modifiedtime updatedtime lastmodifiedtime systemmodstamp updatedtimestamp
	hslastmodifieddate lasteditedtime editedat changedat lastchanged lastchangedat mtime updated modified`)

// timeField is what is known about a field that may say when a record was changed.
type timeField struct {
	values int64
	nulls  int64
	epoch  bool // whole numbers that are times since 1970
	width  int  // of texts that are all times in UTC of one form, 0 for none
}

// lookAtTimes adds the times of one record.
func (m *sampled) lookAtTimes(raw []byte) {
	for key, value := range records.Fields(raw) {
		name := string(key)
		f, known := m.times[name]
		if !known {
			if !isChange(name) {
				m.times[name] = nil
				continue
			}
			f = &timeField{epoch: true, width: -1}
			m.times[name] = f
		}
		if f == nil {
			continue
		}
		if value[0] == 'n' {
			f.nulls++
			continue
		}
		f.values++
		n, isNumber := whole(value)
		f.epoch = f.epoch && isNumber && value[0] != '"' && n > 1e8 && n < 9e18
		text := string(records.Unquote(value))
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil || value[0] != '"' || !strings.HasSuffix(text, "Z") || f.width >= 0 && f.width != len(text) {
			f.width = 0
		} else {
			f.width = len(text)
		}
	}
}

func isChange(name string) bool {
	plain := words.Plain(name)
	for _, n := range changeNames {
		if n == plain {
			return true
		}
	}
	return false
}

// cursorOf returns the column that an incremental sync follows by default, and what
// people should know about it: a time of the last change, also in seconds since 1970 or
// as text that sorts by time; otherwise what driver.DefaultCursor finds.
func (m *sampled) cursorOf(t driver.Table) (cursor string, notes []string) {
	// A field that every record of the sample has is taken to be always there.
	always := t
	always.Columns = slices.Clone(t.Columns)
	for i, c := range always.Columns {
		always.Columns[i].Nullable = !m.shape.Always(c.Name)
	}
	cursor, notes = driver.DefaultCursor(always)
	if c, ok := t.Column(cursor); ok && (c.Type.Kind == driver.Timestamp || c.Type.Kind == driver.TimestampTZ) {
		return cursor, notes
	}
	for _, name := range changeNames {
		for _, c := range t.Columns {
			f := m.times[c.Name]
			if f == nil || f.values == 0 || words.Plain(c.Name) != name {
				continue
			}
			if c.Type.Kind == driver.Int64 && f.epoch || c.Type.Kind == driver.String && f.width > 0 {
				return c.Name, nil
			}
			notes = append(notes, fmt.Sprintf("The field %s says when a record was changed, but its values have no order to follow.", c.Name))
		}
	}
	return cursor, notes
}
