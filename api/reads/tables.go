package reads

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/projections"
)

// landedTable says where a table is stored now.
type landedTable struct {
	SourceID  string `json:"source_id"`
	Source    string `json:"source"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Location  string `json:"location"`
	Metadata  string `json:"metadata_location"`
	Records   int64  `json:"records"`
	// FreshUntil is the time up to which the landed table is complete.
	FreshUntil *time.Time `json:"fresh_until"`
	SyncID     string     `json:"sync_id"`
	// Storage has the settings that a reader of a bucket needs besides the URL.
	Storage map[string]string `json:"storage,omitempty"`
}

func (t landedTable) key() string { return t.SourceID + "\x00" + t.Namespace + "\x00" + t.Name }

func (t landedTable) called(name string) bool {
	return name == "" || t.Name == name || t.Namespace != "" && t.Namespace+"."+t.Name == name
}

// full returns "namespace.name", or the name alone if there is no namespace.
func (t landedTable) full() string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "." + t.Name
}

// mostTables is the largest page. Each table of a page is looked up in the
// catalog.
const mostTables = 100

// Tables answers with the storage location of the landed tables of a scope or
// source, sorted by source and name.
func (c *Calls) Tables(ctx context.Context, r *call.Request) (*web.Answer, error) {
	sequence := c.Model.Position()
	all, err := c.landed(r)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(r.Query.Get("cursor"))
	if err != nil {
		return nil, call.ReadFailure(projections.ErrBadCursor)
	}
	limit := r.Limit()
	if limit == 0 || limit > mostTables {
		limit = mostTables
	}
	page, next := []landedTable{}, ""
	for _, t := range all {
		if !t.called(r.Query.Get("table")) || len(after) > 0 && t.key() <= string(after) {
			continue
		}
		if len(page) == limit {
			next = base64.RawURLEncoding.EncodeToString([]byte(page[limit-1].key()))
			break
		}
		address := r.SourceAddress()
		address.Source = t.SourceID
		if t.Location, t.Metadata, err = c.Lake.Place(ctx, address, t.Namespace, t.Name); errors.Is(err, ErrNotLanded) {
			continue // dropped since the list was read
		}
		if err != nil {
			return nil, err
		}
		t.Storage = c.Lake.Bucket()
		page = append(page, t)
	}
	encoded, err := json.Marshal(page)
	if err != nil {
		return nil, err
	}
	return r.Page(web.Count(len(page), "table"), projections.Page{JSON: encoded, Count: len(page), Next: next, Sequence: sequence}), nil
}

// landed returns the tables of the source that the query names, or of all
// sources of its scope, sorted by key.
func (c *Calls) landed(r *call.Request) ([]landedTable, error) {
	var sources []projections.Source
	if id := r.Query.Get("source_id"); id != "" {
		source, err := r.FindSource(r.Query.Get("scope"), id)
		if err != nil {
			return nil, err
		}
		sources = []projections.Source{source}
	} else {
		var err error
		if sources, err = r.FindSources(r.Owner(r.Query.Get("scope")), nil); err != nil {
			return nil, err
		}
	}
	var all []landedTable
	for _, source := range sources {
		tables, err := c.Model.LandedTables(source.Address)
		if errors.Is(err, projections.ErrNotFound) {
			continue // removed since the list was read
		}
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			if t.SnapshotID != 0 || t.Location != "" {
				all = append(all, landedTable{SourceID: source.Address.Source, Source: source.Name, Namespace: t.Namespace, Name: t.Name, Records: t.Records, FreshUntil: freshUntil(source, t), SyncID: t.SyncID})
			}
		}
	}
	slices.SortFunc(all, func(a, b landedTable) int { return strings.Compare(a.key(), b.key()) })
	return all, nil
}

// freshUntil returns up to when a landed table is complete. A sync of mode cdc moves
// all of its tables on together, also those in which nothing has changed.
func freshUntil(source projections.Source, t projections.LandedTable) *time.Time {
	at := t.FreshUntil
	c := source.Changes
	if t.Mode != command.Capture || t.SetAside || at == nil || c == nil || c.FreshUntil == nil || c.FreshUntil.Before(*at) {
		return at
	}
	return c.FreshUntil
}
