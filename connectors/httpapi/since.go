package httpapi

import (
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/places"
	"headwater/connectors/httpapi/words"
)

// since returns the parameters with which an incremental read asks for what changed
// since its cursor, none if the settings name none.
func (e *endpoint) since(c Settings, t driver.Table, from driver.Cursor) (url.Values, error) {
	if e.SinceParam == "" || from.Value == nil {
		return nil, nil
	}
	column, ok := t.Column(from.Column)
	if !ok {
		return nil, nil
	}
	value, err := sinceValue(column.Type, *from.Value, e.SinceFormat, e.SinceLookback)
	if err != nil {
		return nil, err
	}
	return url.Values{e.SinceParam: {value}}, nil
}

// sinceValue writes a cursor as the API wants it, moved back by the look-back.
func sinceValue(typ driver.Type, value, format, lookback string) (string, error) {
	bad := driver.InvalidField("since_format", "and since_lookback do not fit a cursor of type %s", typ)
	back, err := lookbackOf(lookback)
	if err != nil {
		return "", err
	}
	at, isTime := timeOf(typ, value)
	if !isTime {
		if back == 0 && (format == "" || format == "field") {
			return value, nil
		}
		n, ok := new(big.Int).SetString(value, 10)
		if !ok || format != "" && format != "field" {
			return "", bad
		}
		if _, err := strconv.ParseInt(lookback, 10, 64); err != nil {
			back /= time.Second // an epoch in seconds
		}
		return n.Sub(n, big.NewInt(int64(back))).String(), nil
	}
	at = at.Add(-back)
	switch {
	case format == "seconds":
		return strconv.FormatInt(at.Unix(), 10), nil
	case format == "milliseconds":
		return strconv.FormatInt(at.UnixMilli(), 10), nil
	case format == "date", typ.Kind == driver.Date:
		return at.Format(time.DateOnly), nil
	case typ.Kind == driver.Timestamp:
		return at.Format("2006-01-02T15:04:05.999999"), nil
	}
	return at.Format("2006-01-02T15:04:05.999999Z07:00"), nil
}

// timeOf returns the time that a cursor stands for.
func timeOf(typ driver.Type, value string) (time.Time, bool) {
	layout := ""
	switch typ.Kind {
	case driver.Date:
		layout = time.DateOnly
	case driver.Timestamp:
		layout = "2006-01-02T15:04:05.999999"
	case driver.TimestampTZ, driver.String:
		layout = time.RFC3339Nano
	default:
		return time.Time{}, false
	}
	at, err := time.Parse(layout, value)
	return at, err == nil
}

// lookbackOf reads a duration such as 15m, 2d or 1w, or a whole number.
func lookbackOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return time.Duration(n), nil
	}
	for unit, days := range map[string]time.Duration{"d": 1, "w": 7} {
		if count, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.ParseUint(count, 10, 13); err == nil {
				return time.Duration(n) * days * 24 * time.Hour, nil
			}
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, driver.InvalidField("since_lookback", "must be a length of time such as \"15m\", \"2h\" or \"3d\", or a whole number for cursors that are numbers")
}

// nested returns a record with the fields of nested objects that are key or cursor added
// under their dotted paths. It writes into scratch, which it returns for the next call.
func (e *endpoint) nested(raw, scratch []byte) (record, next []byte) {
	if len(e.nests) == 0 || len(raw) == 0 || raw[0] != '{' {
		return raw, scratch
	}
	to := append(scratch[:0], '{')
	added := false
	for _, name := range e.nests {
		keys, value := places.FieldAt(raw, name)
		if len(keys) < 2 {
			continue
		}
		to = places.AppendField(to, name, value, !added)
		added = true
	}
	if !added {
		return raw, to
	}
	to = places.AppendFields(to, raw)
	return to, to
}

// nestsOf returns the names of key and cursor that may be paths.
func nestsOf(e Endpoint) (nests []string) {
	for _, name := range append(append([]string{}, e.PrimaryKey...), e.Cursor) {
		if strings.Contains(name, ".") {
			nests = append(nests, name)
		}
	}
	return words.Unique(nests)
}
