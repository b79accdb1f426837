package api

import (
	"testing"

	"headwater/api/auth"
)

func TestWhoMayDoWhat(t *testing.T) {
	h := newHouse(t)
	viewer, editor := h.as("acme", "eve", auth.RoleViewer), h.as("acme", "ada.lovelace@x/y", auth.RoleEditor)
	for _, test := range []struct {
		name          string
		c             caller
		method, path  string
		authorization string
		code          int
	}{
		{"no token", editor, "GET", "/data/w1/list", "", 401},
		{"no bearer", editor, "GET", "/data/w1/list", "Basic YTpi", 401},
		{"a bad token", editor, "GET", "/data/w1/list", "Bearer x.y.z", 401},
		{"lower case", editor, "GET", "/data/w1/list", "bearer " + editor.token, 200},
		{"no token for connectors", editor, "GET", "/connectors", "", 401},
		{"no token for a bad workspace", editor, "GET", "/data/a.b/list", "", 401},
		{"viewer reads", viewer, "GET", "/data/w1/list", "Bearer " + viewer.token, 200},
		{"viewer writes", viewer, "POST", "/data/w1/cleanup", "Bearer " + viewer.token, 403},
		{"viewer tests", viewer, "POST", "/data/w1/test-connection", "Bearer " + viewer.token, 403},
		{"viewer maintains", viewer, "POST", "/data/w1/maintenance", "Bearer " + viewer.token, 403},
		{"viewer verifies", viewer, "POST", "/data/w1/verify", "Bearer " + viewer.token, 403},
		{"viewer cancels", viewer, "POST", "/data/w1/operations/op_x/cancel", "Bearer " + viewer.token, 403},
	} {
		var body any
		if test.method == "POST" {
			body = `{}`
		}
		r := test.c.call(test.method, test.path, body, "Authorization", test.authorization)
		if r.Code != test.code || (r.Code == 401) != (r.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %v, want %d", test.name, r.Code, r.Header, test.code)
		}
	}
	for base, code := range map[string]int{
		"/jarvispy/acme/ada.lovelace@x%2Fy/api/v1":  200,
		"/jarvispy/acme/eve/api/v1":                 403,
		"/jarvispy/other/ada.lovelace@x%2Fy/api/v1": 403,
		"/jarvispy/acme/ada.lovelace@x/y/api/v1":    404,
		"/jarvispy//ada.lovelace@x%2Fy/api/v1":      404,
	} {
		c := editor
		c.base = base
		if r := c.get("/data/w1/list"); r.Code != code {
			t.Errorf("%s: %d, want %d", base, r.Code, code)
		}
	}
}
