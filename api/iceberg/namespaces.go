package iceberg

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"headwater/bus/event"
	"headwater/projections"
)

// Scopes of sources, which also distinguish two sources of one name.
const (
	scopeUser         = "user"
	scopeOrganization = "organization"
)

// namespace is a source as it appears in the catalog.
type namespace struct {
	name    string // its name in the catalog
	source  string // its own name
	typ     string
	address event.Address
}

func (n namespace) scope() string {
	if n.address.Owner == "" {
		return scopeOrganization
	}
	return scopeUser
}

// sources returns the sources that the caller may see, the caller's own and the
// organization's, or only those with a given name. Removed sources are not
// included; at an earlier time, those removed by then are not.
func (h *Handler) sources(r *request, name string) (all []namespace, err error) {
	for _, owner := range []string{r.caller.Username, ""} {
		q := projections.ListQuery{Organization: r.caller.Organization, Workspace: r.place.workspace, Owner: owner, Name: name}
		found, err := h.sourcesOf(q, r.place.sequence)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (h *Handler) sourcesOf(q projections.ListQuery, sequence uint64) (all []namespace, err error) {
	address := func(id string) event.Address {
		return event.Address{Organization: q.Organization, Workspace: q.Workspace, Owner: q.Owner, Source: id}
	}
	if sequence == 0 {
		sources, _, err := h.Reads.Sources(q)
		for _, s := range sources {
			all = append(all, namespace{source: s.Name, typ: s.Type, address: address(s.Address.Source)})
		}
		return all, err
	}
	q.AsOf = sequence
	page, err := h.Reads.List(q)
	if err != nil {
		return nil, err
	}
	var docs []struct{ ID, Name, Type string }
	if err := json.Unmarshal(page.JSON, &docs); err != nil {
		return nil, err
	}
	for _, d := range docs {
		all = append(all, namespace{source: d.Name, typ: d.Type, address: address(d.ID)})
	}
	return all, nil
}

// named sets the name of each namespace. A source whose name is unique keeps it.
// Otherwise the scope follows the name, or the source's id if that is not unique
// either.
func named(all []namespace) []namespace {
	count := map[string]int{}
	for _, n := range all {
		count[n.source]++
		count[n.source+"\x00"+n.scope()]++
	}
	for i, n := range all {
		all[i].name = Escape(n.source)
		switch {
		case count[n.source+"\x00"+n.scope()] > 1:
			all[i].name += joint + n.address.Source
		case count[n.source] > 1:
			all[i].name += joint + n.scope()
		}
	}
	slices.SortFunc(all, func(a, b namespace) int { return cmp.Compare(a.name, b.name) })
	return all
}

// namespaceOf returns the source that a name of the catalog means. It also
// accepts a name with scope or id where the plain name would do, and a source's
// own name.
func (h *Handler) namespaceOf(r *request, text string) (namespace, error) {
	return lookTwice(h, r, func(r *request) (namespace, error) { return h.namespaceKnown(r, text) })
}

func (h *Handler) namespaceKnown(r *request, text string) (namespace, error) {
	missing := fail(http.StatusNotFound, typeNoNamespace, "There is no namespace %s in the warehouse %s", quoted(text), quoted(r.place.prefix()))
	own, which, qualified := cut(text)
	name, err := Unescape(own)
	if err != nil || name == "" {
		name, which, qualified = text, "", false
	}
	if name == "" || len(text) > maxText || strings.Contains(text, "\x1f") {
		return namespace{}, missing
	}
	all, err := h.sources(r, name)
	if err != nil {
		return namespace{}, err
	}
	all = slices.DeleteFunc(all, func(n namespace) bool {
		return n.source != name || qualified && which != n.scope() && which != n.address.Source
	})
	switch all = named(all); len(all) {
	case 0:
		return namespace{}, missing
	case 1:
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.name
	}
	missing.message = "Several sources are called " + quoted(name) + ": name one of " + strings.Join(names, ", ")
	return namespace{}, missing
}

// maxText is the length of the longest name that is looked up, in bytes.
const maxText = 8 << 10

func (h *Handler) listNamespaces(w http.ResponseWriter, r *request) error {
	if parent := r.URL.Query().Get("parent"); parent != "" {
		if _, err := h.namespaceOf(r, parent); err != nil {
			return err
		}
		return answer(w, r, map[string]any{"namespaces": [][]string{}}) // there is one level
	}
	h.catchUp(r)
	all, err := h.sources(r, "")
	if err != nil {
		return err
	}
	names := make([]string, 0, len(all))
	for _, n := range named(all) {
		names = append(names, n.name)
	}
	page, next, err := pageOf(r, names)
	if err != nil {
		return err
	}
	levels := make([][]string, len(page))
	for i, name := range page {
		levels[i] = []string{name}
	}
	return answer(w, r, withNext(map[string]any{"namespaces": levels}, next))
}

func (h *Handler) loadNamespace(w http.ResponseWriter, r *request) error {
	n, err := h.namespaceOf(r, r.variable("namespace"))
	if err != nil {
		return err
	}
	return answer(w, r, map[string]any{"namespace": []string{n.name}, "properties": map[string]string{
		"source": n.source, "source_id": n.address.Source, "scope": n.scope(), "type": n.typ,
	}})
}

func (h *Handler) namespaceExists(w http.ResponseWriter, r *request) error {
	if _, err := h.namespaceOf(r, r.variable("namespace")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// listViews answers with an empty list.
func (h *Handler) listViews(w http.ResponseWriter, r *request) error {
	if _, err := h.namespaceOf(r, r.variable("namespace")); err != nil {
		return err
	}
	return answer(w, r, map[string]any{"identifiers": []any{}})
}

func (h *Handler) noView(_ http.ResponseWriter, r *request) error {
	if _, err := h.namespaceOf(r, r.variable("namespace")); err != nil {
		return err
	}
	return fail(http.StatusNotFound, typeNoView, "There is no view %s: the catalog has none", quoted(r.variable("view")))
}

// gone reports whether a read found nothing.
func gone(err error) bool { return errors.Is(err, projections.ErrNotFound) }
