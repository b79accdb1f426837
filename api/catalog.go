package api

import (
	"errors"
	"net/http"

	"headwater/api/auth"
	"headwater/api/iceberg"
	"headwater/api/web"
)

// mountCatalog routes the Iceberg REST catalog, which accepts the same tokens as
// the API. Without Deps.Catalog it routes nothing.
func (h *Handler) mountCatalog() {
	if h.Catalog == nil {
		return
	}
	catalog := iceberg.New(iceberg.Deps{
		Verify: h.catalogCaller, Reads: h.Reads, Lake: h.Catalog, Access: h.Access, Recent: h.Recent, Log: h.Log,
		Note: func(w http.ResponseWriter, seen iceberg.Exchange) {
			web.Note(w, func(x *web.Exchange) {
				x.Organization, x.Workspace, x.Subject, x.Code, x.Message = seen.Organization, seen.Workspace, seen.Subject, seen.Code, seen.Message
				if seen.Route != "" {
					x.Route = iceberg.Base + seen.Route
				}
			})
		},
	})
	h.router.PathPrefix(iceberg.Base + "/").Handler(catalog)
}

// catalogCaller returns the caller that a token belongs to. Its error wraps
// iceberg.ErrTokenExpired for a token that has expired, and iceberg.ErrLookup for
// one that cannot be looked up now.
func (h *Handler) catalogCaller(token string) (iceberg.Caller, error) {
	claims, err := h.Auth.Verify(token)
	if err != nil {
		if auth.RefusalOf(err).Expired {
			return iceberg.Caller{}, iceberg.ErrTokenExpired
		}
		if errors.Is(err, auth.ErrLookup) {
			return iceberg.Caller{}, iceberg.ErrLookup
		}
		return iceberg.Caller{}, err
	}
	return iceberg.Caller{Organization: claims.Organization, Username: claims.Username, TokenID: claims.TokenID(), Workspaces: claims.Workspaces, Expires: claims.Expires}, nil
}
