package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"headwater/api/contract"
	"headwater/bus/event"
	"headwater/projections"
)

// ErrNotLanded is what a Lake returns for a table that never landed.
var ErrNotLanded = errors.New("nothing of the table has landed")

// Shown is some rows of a landed table.
type Shown struct {
	SnapshotID int64
	Total      int64 // rows that the snapshot has
	Columns    []ShownColumn
	Rows       [][]any
}

// ShownColumn is a column as it landed.
type ShownColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// landedTable is where a table lies at the moment.
type landedTable struct {
	SourceID  string `json:"source_id"`
	Source    string `json:"source"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Location  string `json:"location"`
	Metadata  string `json:"metadata_location"`
	Records   int64  `json:"records"`
	SyncID    string `json:"sync_id"`
	// Storage is what a reader of a bucket must know beside the address.
	Storage map[string]string `json:"storage,omitempty"`
}

func (t landedTable) key() string { return t.SourceID + "\x00" + t.Namespace + "\x00" + t.Name }

func (t landedTable) called(name string) bool {
	return name == "" || t.Name == name || t.Namespace != "" && t.Namespace+"."+t.Name == name
}

// mostTables is a page of tables, of which each is looked up in the catalog.
const mostTables = 100

// tables answers where the landed tables of a scope or source lie, by source and
// name.
func (h *Handler) tables(ctx context.Context, r *request) (*answer, error) {
	sequence := h.Reads.Position()
	all, err := h.landed(r)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(r.query.Get("cursor"))
	if err != nil {
		return nil, readFailure(projections.ErrBadCursor)
	}
	limit := r.limit()
	if limit == 0 || limit > mostTables {
		limit = mostTables
	}
	page, next := []landedTable{}, ""
	for _, t := range all {
		if !t.called(r.query.Get("table")) || len(after) > 0 && t.key() <= string(after) {
			continue
		}
		if len(page) == limit {
			next = base64.RawURLEncoding.EncodeToString([]byte(page[limit-1].key()))
			break
		}
		address := r.source()
		address.Source = t.SourceID
		if t.Location, t.Metadata, err = h.Lake.Place(ctx, address, t.Namespace, t.Name); errors.Is(err, ErrNotLanded) {
			continue // it was dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		t.Storage = h.Lake.Bucket()
		page = append(page, t)
	}
	encoded, err := json.Marshal(page)
	if err != nil {
		return nil, err
	}
	return r.page(count(len(page), "table"), projections.Page{JSON: encoded, Count: len(page), Next: next, Sequence: sequence}), nil
}

// landed returns the tables of the source that the query names, or of all of its
// scope, in the order of their keys.
func (h *Handler) landed(r *request) ([]landedTable, error) {
	var sources []projections.Source
	if id := r.query.Get("source_id"); id != "" {
		source, err := h.one(r, r.query.Get("scope"), id)
		if err != nil {
			return nil, err
		}
		sources = []projections.Source{source}
	} else {
		var err error
		if sources, err = h.chosen(r, r.owner(r.query.Get("scope")), nil); err != nil {
			return nil, err
		}
	}
	var all []landedTable
	for _, source := range sources {
		tables, err := h.Reads.LandedTables(source.Address)
		if errors.Is(err, projections.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			if t.SnapshotID != 0 || t.Location != "" {
				all = append(all, landedTable{SourceID: source.Address.Source, Source: source.Name, Namespace: t.Namespace, Name: t.Name, Records: t.Records, SyncID: t.SyncID})
			}
		}
	}
	slices.SortFunc(all, func(a, b landedTable) int { return strings.Compare(a.key(), b.key()) })
	return all, nil
}

// preview answers some rows of one landed table, as its readers see it now.
func (h *Handler) preview(ctx context.Context, r *request) (*answer, error) {
	all, err := h.landed(r)
	if err != nil {
		return nil, err
	}
	name := r.query.Get("table")
	all = slices.DeleteFunc(all, func(t landedTable) bool { return !t.called(name) })
	if len(all) > 1 {
		return nil, malformed(detail{Field: "table", Message: "is the name of several tables; name its schema, too, such as " + contract.Printable(all[0].Namespace+"."+all[0].Name)})
	}
	gone := fail(http.StatusNotFound, "not_found", "Nothing of a table %s has landed", contract.Printable(name))
	if len(all) == 0 {
		return nil, gone
	}
	limit := r.limit()
	if limit == 0 {
		limit = 20
	}
	address := event.Address{Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(r.query.Get("scope")), Source: all[0].SourceID}
	shown, err := h.Lake.Show(ctx, address, all[0].Namespace, all[0].Name, limit)
	if errors.Is(err, ErrNotLanded) {
		return nil, gone
	}
	if err != nil {
		return nil, err
	}
	rows := make([]map[string]any, len(shown.Rows))
	for i, values := range shown.Rows {
		rows[i] = map[string]any{}
		for c, value := range values {
			rows[i][shown.Columns[c].Name] = exact(value)
		}
	}
	table := name
	if all[0].Namespace != "" {
		table = all[0].Namespace + "." + all[0].Name
	}
	return success(http.StatusOK, count(len(rows), "row"), map[string]any{
		"table": table, "snapshot_id": strconv.FormatInt(shown.SnapshotID, 10), "columns": shown.Columns, "rows": rows, "truncated": int64(len(rows)) < shown.Total,
	})
}

// exact returns a value that a reader of JSON does not round.
func exact(value any) any {
	const whole = 1 << 53
	if n, ok := value.(int64); ok && (n > whole || n < -whole) {
		return strconv.FormatInt(n, 10)
	}
	return value
}
