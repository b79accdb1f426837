package reads

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// shownRow is a row that marshals to an object whose members have the order of
// the columns.
type shownRow struct {
	columns []ShownColumn
	values  []any
}

// MarshalJSON returns the row as an object.
func (r shownRow) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, value := range r.values {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []any{r.columns[i].Name, exact(value)} {
			if err := encoder.Encode(part); err != nil {
				return nil, err
			}
			b.Truncate(b.Len() - 1) // newline that Encode adds
			b.WriteByte(':')
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// exact returns the value so that JSON readers do not round it: integers beyond
// 2^53 become strings.
func exact(value any) any {
	const whole = 1 << 53
	switch v := value.(type) {
	case int64:
		if v > whole || v < -whole {
			return strconv.FormatInt(v, 10)
		}
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = exact(v[i])
		}
		return all
	case map[string]any:
		all := make(map[string]any, len(v))
		for name := range v {
			all[name] = exact(v[name])
		}
		return all
	}
	return value
}
