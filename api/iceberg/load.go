package iceberg

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Values of the query and headers of a load call.
const (
	headerDelegation = "X-Iceberg-Access-Delegation"
	vended           = "vended-credentials"
	snapshotsAll     = "all"
	snapshotsRefs    = "refs"
)

// read returns a table at the time of the warehouse.
func (h *Handler) read(r *request, f found) (Table, error) {
	t, err := h.Lake.Metadata(r.Context(), f.address, f.schema, f.table, r.place.at)
	switch {
	case errors.Is(err, ErrNoTable):
		return t, fail(http.StatusNotFound, typeNoTable, "Nothing of the table %s.%s had landed then", f.namespace.name, f.name)
	case errors.Is(err, ErrExpired):
		return t, fail(http.StatusNotFound, typeNoTable, "The table %s.%s as it was then is gone: what a commit replaces stays readable for some minutes only", f.namespace.name, f.name)
	}
	return t, err
}

// view returns a table as the caller should see it.
func (h *Handler) view(r *request, f found) (View, error) {
	t, err := h.read(r, f)
	if err != nil {
		return View{}, err
	}
	return h.Access.View(r.Context(), Ask{
		Caller: r.caller, Address: f.address, Table: t, Delegated: delegated(r.Header), Request: r.Request,
	})
}

// delegated reports whether a client accepts keys to the files.
func delegated(header http.Header) bool {
	for _, value := range header.Values(headerDelegation) {
		for way := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(way), vended) {
				return true
			}
		}
	}
	return false
}

func (h *Handler) loadTable(w http.ResponseWriter, r *request) error {
	which := r.URL.Query().Get("snapshots")
	if which != "" && which != snapshotsAll && which != snapshotsRefs {
		return fail(http.StatusBadRequest, typeBadRequest, "snapshots must be all or refs")
	}
	f, err := h.tableOf(r)
	if err != nil {
		return err
	}
	v, err := h.view(r, f)
	if err != nil {
		return err
	}
	warn(w, v)
	tag := etag(append([]string{v.Location, which, v.Expires.String(), f.name}, settings(v.Config)...)...)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	metadata := json.RawMessage(v.Metadata)
	if which == snapshotsRefs {
		if metadata, err = referred(metadata); err != nil {
			return err
		}
	}
	loaded := map[string]any{"metadata-location": v.Location, "metadata": metadata, "config": v.Config}
	if !v.Expires.IsZero() {
		loaded["storage-credentials"] = storageCredentials(v)
		loaded["config"] = h.refreshed(r, f, v.Config)
	}
	return answer(w, r, loaded)
}

// refreshed adds the path at which new keys are requested, as Iceberg's own
// client does.
func (h *Handler) refreshed(r *request, f found, config map[string]string) map[string]string {
	all := map[string]string{"client.refresh-credentials-endpoint": "v1/" + r.place.prefix() + "/namespaces/" + f.namespace.name + "/tables/" + f.name + "/credentials"}
	for name, value := range config {
		all[name] = value
	}
	return all
}

// warn says in a header why there are no keys, for clients that do not show a
// table's settings.
func warn(w http.ResponseWriter, v View) {
	if v.Warning != "" {
		w.Header().Set("Warning", "199 headwater "+strconv.QuoteToASCII("no keys to the table: "+v.Warning))
	}
}

func storageCredentials(v View) []map[string]any {
	return []map[string]any{{"prefix": v.Folder, "config": v.Config}}
}

// credentials answers with new keys to a table's files, or with an empty list if
// there are none.
func (h *Handler) credentials(w http.ResponseWriter, r *request) error {
	f, err := h.tableOf(r)
	if err != nil {
		return err
	}
	r.Header.Set(headerDelegation, vended) // the purpose of this call
	v, err := h.view(r, f)
	if err != nil {
		return err
	}
	warn(w, v)
	keys := []map[string]any{}
	if !v.Expires.IsZero() {
		keys = storageCredentials(v)
	}
	return answer(w, r, map[string]any{"storage-credentials": keys})
}

// settings returns the names and values of a config, in order. They differ between
// nodes that are reached by different addresses.
func settings(config map[string]string) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		all = append(all, name, config[name])
	}
	return all
}

// etag returns a tag that changes exactly when the answer does.
func etag(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return `"` + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18]) + `"`
}

func matches(values []string, tag string) bool {
	for _, value := range values {
		for one := range strings.SplitSeq(value, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// referred removes the snapshots that no branch or tag references.
func referred(metadata json.RawMessage) (json.RawMessage, error) {
	var doc map[string]json.RawMessage
	var refs map[string]struct {
		ID int64 `json:"snapshot-id"`
	}
	var snapshots []json.RawMessage
	var current struct {
		ID *int64 `json:"current-snapshot-id"`
	}
	err := errors.Join(json.Unmarshal(metadata, &doc), json.Unmarshal(metadata, &current))
	if err == nil && doc["refs"] != nil {
		err = json.Unmarshal(doc["refs"], &refs)
	}
	if err == nil && doc["snapshots"] != nil {
		err = json.Unmarshal(doc["snapshots"], &snapshots)
	}
	if err != nil {
		return nil, err
	}
	keep := map[int64]bool{}
	for _, ref := range refs {
		keep[ref.ID] = true
	}
	if current.ID != nil {
		keep[*current.ID] = true
	}
	kept := []json.RawMessage{}
	for _, s := range snapshots {
		var one struct {
			ID int64 `json:"snapshot-id"`
		}
		if err := json.Unmarshal(s, &one); err != nil {
			return nil, err
		}
		if keep[one.ID] {
			kept = append(kept, s)
		}
	}
	if doc["snapshots"], err = json.Marshal(kept); err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}
