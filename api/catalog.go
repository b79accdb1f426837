package api

import (
	"net/http"

	"headwater/api/auth"
	"headwater/api/iceberg"
	"headwater/api/web"
)

// mountCatalog routes what engines ask of the Iceberg REST catalog, by the same
// tokens as everything. Without a lake that tells of its tables there is none.
func (h *Handler) mountCatalog() {
	if h.Catalog == nil {
		return
	}
	catalog := iceberg.New(iceberg.Deps{
		Verify: h.catalogCaller, Reads: h.Reads, Lake: h.Catalog, Access: h.Access, Log: h.Log,
		Told: func(w http.ResponseWriter, t iceberg.Told) {
			web.Note(w, func(x *web.Exchange) {
				x.Organization, x.Workspace, x.Subject, x.Code, x.Message = t.Organization, t.Workspace, t.Subject, t.Code, t.Message
				if t.Route != "" {
					x.Route = iceberg.Base + t.Route
				}
			})
		},
	})
	h.router.PathPrefix(iceberg.Base + "/").Handler(catalog)
}

// catalogCaller returns the caller that a token belongs to. Its error wraps
// iceberg.ErrTokenExpired for a token that has expired.
func (h *Handler) catalogCaller(token string) (iceberg.Caller, error) {
	claims, err := h.Auth.Verify(token)
	if err != nil {
		if auth.RefusalOf(err).Expired {
			return iceberg.Caller{}, iceberg.ErrTokenExpired
		}
		return iceberg.Caller{}, err
	}
	return iceberg.Caller{Organization: claims.Organization, Username: claims.Username, TokenID: claims.TokenID(), Workspaces: claims.Workspaces, Expires: claims.Expires}, nil
}
