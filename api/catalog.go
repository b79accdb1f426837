package api

import (
	"fmt"
	"net/http"
	"strings"

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

// catalogCaller returns whose token it is, as the catalog knows callers.
func (h *Handler) catalogCaller(token string) (iceberg.Caller, error) {
	claims, err := h.Auth.Verify(token)
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), ": ")
		if strings.HasPrefix(why, auth.WhyExpired) {
			return iceberg.Caller{}, iceberg.ErrTokenExpired
		}
		return iceberg.Caller{}, fmt.Errorf("the token is not valid: %s", why)
	}
	return iceberg.Caller{Organization: claims.Organization, Username: claims.Username, TokenID: claims.TokenID(), Workspaces: claims.Workspaces, Expires: claims.Expires}, nil
}
