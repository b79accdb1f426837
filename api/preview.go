package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"headwater/api/contract"
	"headwater/api/web"
	"headwater/projections"
)

// Errors of a Lake. Each becomes a failure that the caller sees.
var (
	ErrNotLanded = errors.New("nothing of the table has landed")
	// ErrExpired says that the lake no longer has the snapshot.
	ErrExpired = errors.New("the snapshot is no longer kept")
	// ErrLake says that the lake cannot return its files now.
	ErrLake = errors.New("the lake does not answer")
)

// Moment selects a state of a table, by snapshot or by time. The zero Moment is
// now.
type Moment struct {
	SnapshotID int64
	Time       time.Time
}

// Shown is a sample of a landed table's rows.
type Shown struct {
	SnapshotID int64     // 0 before the first commit
	At         time.Time // when the snapshot was committed
	Total      int64     // rows of the whole snapshot
	Columns    []ShownColumn
	Rows       [][]any
	Shortened  []ShownShort
	Truncated  bool   // the snapshot has more rows
	Ended      string // the limit that ended the sample: "bytes", "time" or ""
}

// ShownColumn is a column of the landed table.
type ShownColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ShownShort is a value of which only the beginning is shown: its row and column
// in Shown, and its full size in bytes.
type ShownShort struct{ Row, Column, Bytes int }

// previewLimit is the number of rows if the request gives no limit.
const previewLimit = 20

// previewDoc is the data of the answer.
type previewDoc struct {
	Table      string         `json:"table"`
	SnapshotID string         `json:"snapshot_id"`
	SnapshotAt *time.Time     `json:"snapshot_at"` // nil before the first commit
	Total      int64          `json:"total_records"`
	Columns    []ShownColumn  `json:"columns"`
	Rows       []shownRow     `json:"rows"`
	Truncated  bool           `json:"truncated"`
	Shortened  []shortenedDoc `json:"shortened,omitempty"`
}

type shortenedDoc struct {
	Row    int    `json:"row"`
	Column string `json:"column"`
	Bytes  int    `json:"bytes"`
}

// preview answers with some rows of one landed table, as it is now or as it was
// at the time of as_of.
func (h *Handler) preview(ctx context.Context, r *request) (*web.Answer, error) {
	all, err := h.landed(r)
	if err != nil {
		return nil, err
	}
	name := r.query.Get("table")
	all = slices.DeleteFunc(all, func(t landedTable) bool { return !t.called(name) })
	if len(all) > 1 {
		return nil, web.Malformed(web.Detail{Field: "table", Message: "is the name of several tables; name its schema, too, such as " + contract.Printable(all[0].Namespace+"."+all[0].Name)})
	}
	gone := web.Fail(http.StatusNotFound, "not_found", "Nothing of a table %s has landed", contract.Printable(name))
	if len(all) == 0 {
		return nil, gone
	}
	t := all[0]
	address := r.source()
	moment, err := h.snapshotAt(r, t)
	if err != nil {
		return nil, err
	}
	limit := r.limit()
	if limit == 0 {
		limit = previewLimit
	}
	shown, err := h.Lake.Show(ctx, address, t.Namespace, t.Name, limit, moment)
	switch {
	case errors.Is(err, ErrNotLanded) && moment == (Moment{}):
		return nil, gone
	case errors.Is(err, ErrNotLanded):
		return nil, nothingThen(name)
	case errors.Is(err, ErrExpired):
		return nil, expired()
	case errors.Is(err, ErrLake):
		return nil, web.Fail(http.StatusServiceUnavailable, "unavailable", "The lake does not give the table's files now; try again later").Later(5 * time.Second).Because(err)
	case err != nil:
		return nil, err
	}
	return web.Success(http.StatusOK, previewMessage(shown), previewAsShown(t, shown))
}

func nothingThen(name string) error {
	return web.Fail(http.StatusNotFound, "not_found", "Nothing of a table %s had landed then", contract.Printable(name))
}

func expired() error {
	return web.Fail(http.StatusGone, "expired", "The lake no longer has the table as it was then: what a sync replaces can be read for 15 minutes; GET checkpoints lists what was committed")
}

// snapshotAt returns the moment that the parameter as_of selects: a time, a
// sequence of the log, or the id of a snapshot. Snapshot ids are larger than any
// sequence.
func (h *Handler) snapshotAt(r *request, t landedTable) (Moment, error) {
	text := r.query.Get("as_of")
	if text == "" {
		return Moment{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		if _, err := h.moment(text); err != nil {
			return Moment{}, err
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		return Moment{Time: at}, err
	}
	if uint64(n) > h.Reads.Position() {
		return Moment{SnapshotID: n}, nil
	}
	return h.committedAt(r, t, uint64(n))
}

// committedAt returns the moment of the table's last commit up to that sequence
// of the log.
func (h *Handler) committedAt(r *request, t landedTable, sequence uint64) (Moment, error) {
	page, err := h.Reads.Checkpoints(projections.CheckpointQuery{Address: r.source(), Table: t.full()})
	if err != nil {
		return Moment{}, h.schemaFailure(r, err, 0)
	}
	var all []struct {
		Table      string `json:"table"`
		Namespace  string `json:"namespace"`
		SnapshotID string `json:"snapshot_id"`
		Sequence   uint64 `json:"sequence"`
	}
	if err := json.Unmarshal(page.JSON, &all); err != nil {
		return Moment{}, err
	}
	newer := 0
	for _, c := range all {
		if c.Table != t.Name || c.Namespace != t.Namespace {
			continue
		}
		if c.Sequence <= sequence {
			if newer == 0 {
				return Moment{}, nil // it is the newest commit
			}
			id, err := strconv.ParseInt(c.SnapshotID, 10, 64)
			return Moment{SnapshotID: id}, err
		}
		newer++
	}
	if newer >= projections.KeptCheckpoints {
		return Moment{}, expired()
	}
	return Moment{}, nothingThen(t.Name)
}

func previewAsShown(t landedTable, shown Shown) previewDoc {
	doc := previewDoc{
		Table: t.full(), SnapshotID: strconv.FormatInt(shown.SnapshotID, 10), Total: shown.Total, Columns: shown.Columns,
		Rows: make([]shownRow, len(shown.Rows)), Truncated: shown.Truncated,
	}
	if !shown.At.IsZero() {
		doc.SnapshotAt = &shown.At
	}
	for i, values := range shown.Rows {
		doc.Rows[i] = shownRow{shown.Columns, values}
	}
	for _, s := range shown.Shortened {
		doc.Shortened = append(doc.Shortened, shortenedDoc{s.Row, shown.Columns[s.Column].Name, s.Bytes})
	}
	return doc
}

func previewMessage(shown Shown) string {
	message := web.Count(len(shown.Rows), "row")
	if shown.Truncated {
		message = fmt.Sprintf("%d of %s", len(shown.Rows), web.Count(int(shown.Total), "row"))
	}
	switch shown.Ended {
	case "bytes":
		message += "; more would not fit into one answer"
	case "time":
		message += "; the lake took too long to give more"
	}
	return message
}

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
