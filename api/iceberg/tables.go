package iceberg

import (
	"io"
	"net/http"
	"slices"

	"headwater/projections"
)

// landed returns the tables of a source that are in the lake.
func (h *Handler) landed(r *request, n namespace) ([]projections.LandedTable, error) {
	all, err := h.Reads.LandedTables(n.address)
	if gone(err) {
		return nil, nil // removed before that time, or since the list was read
	}
	return slices.DeleteFunc(all, func(t projections.LandedTable) bool { return t.SnapshotID == 0 && t.Location == "" }), err
}

func (h *Handler) listTables(w http.ResponseWriter, r *request) error {
	h.catchUp(r)
	n, err := h.namespaceOf(r, r.variable("namespace"))
	if err != nil {
		return err
	}
	all, err := h.landed(r, n)
	if err != nil {
		return err
	}
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = TableName(t.Namespace, t.Name)
	}
	slices.Sort(names)
	page, next, err := pageOf(r, names)
	if err != nil {
		return err
	}
	identifiers := make([]map[string]any, len(page))
	for i, name := range page {
		identifiers[i] = map[string]any{"namespace": []string{n.name}, "name": name}
	}
	return answer(w, r, withNext(map[string]any{"identifiers": identifiers}, next))
}

// found is a table that a path names.
type found struct {
	namespace
	schema, table string // as in its source
	name          string // its name in the catalog
}

// tableOf returns the table that the path names: by its name in the catalog, by
// "schema.table" as in its source, or by its own name alone if that is unique.
func (h *Handler) tableOf(r *request) (found, error) { return lookTwice(h, r, h.tableKnown) }

func (h *Handler) tableKnown(r *request) (found, error) {
	n, err := h.namespaceOf(r, r.variable("namespace"))
	if err != nil {
		return found{}, err
	}
	text := r.variable("table")
	missing := fail(http.StatusNotFound, typeNoTable, "There is no table %s in the namespace %s, or nothing of it has landed", quoted(text), n.name)
	if text == "" || len(text) > maxText {
		return found{}, missing
	}
	all, err := h.landed(r, n)
	if err != nil {
		return found{}, err
	}
	var alike []found
	for _, t := range all {
		f := found{n, t.Namespace, t.Name, TableName(t.Namespace, t.Name)}
		if f.name == text {
			return f, nil
		}
		if t.Name == text || t.Namespace != "" && t.Namespace+"."+t.Name == text {
			alike = append(alike, f)
		}
	}
	switch len(alike) {
	case 0:
		return found{}, missing
	case 1:
		return alike[0], nil
	}
	missing.message = "Several tables are called " + quoted(text) + ", such as " + alike[0].name + " and " + alike[1].name
	return found{}, missing
}

// tableExists answers HEAD. At an earlier time only tables that had landed by
// then exist.
func (h *Handler) tableExists(w http.ResponseWriter, r *request) error {
	f, err := h.tableOf(r)
	if err == nil && !r.place.at.IsZero() {
		_, err = h.read(r, f)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxReport limits the size in bytes of an engine's scan report.
const maxReport = 1 << 20

// metrics accepts an engine's scan report and discards it.
func (h *Handler) metrics(w http.ResponseWriter, r *request) error {
	if _, err := h.tableOf(r); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxReport))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
