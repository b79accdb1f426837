package reads

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/web"
	"headwater/projections"
)

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

// Preview answers with some rows of one landed table, as it is now or as it was
// at the time of as_of.
func (c *Calls) Preview(ctx context.Context, r *call.Request) (*web.Answer, error) {
	all, err := c.landed(r)
	if err != nil {
		return nil, err
	}
	name := r.Query.Get("table")
	all = slices.DeleteFunc(all, func(t landedTable) bool { return !t.called(name) })
	if len(all) > 1 {
		return nil, web.Malformed(web.Detail{Field: "table", Message: "is the name of several tables; name its schema, too, such as " + contract.Printable(all[0].Namespace+"."+all[0].Name)})
	}
	gone := web.Fail(http.StatusNotFound, "not_found", "Nothing of a table %s has landed", contract.Printable(name))
	if len(all) == 0 {
		return nil, gone
	}
	t := all[0]
	address := r.SourceAddress()
	moment, err := c.snapshotAt(r, t)
	if err != nil {
		return nil, err
	}
	limit := r.Limit()
	if limit == 0 {
		limit = previewLimit
	}
	shown, err := c.Lake.Show(ctx, address, t.Namespace, t.Name, limit, moment)
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
func (c *Calls) snapshotAt(r *call.Request, t landedTable) (Moment, error) {
	text := r.Query.Get("as_of")
	if text == "" {
		return Moment{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		if _, err := r.Moment(text); err != nil {
			return Moment{}, err
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		return Moment{Time: at}, err
	}
	if uint64(n) > c.Model.Position() {
		return Moment{SnapshotID: n}, nil
	}
	return c.committedAt(r, t, uint64(n))
}

// committedAt returns the moment of the table's last commit up to that sequence
// of the log.
func (c *Calls) committedAt(r *call.Request, t landedTable, sequence uint64) (Moment, error) {
	page, err := c.Model.Checkpoints(projections.CheckpointQuery{Address: r.SourceAddress(), Table: t.full()})
	if err != nil {
		return Moment{}, c.schemaFailure(r, err, 0)
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
