package wire

import (
	"strings"

	"headwater/bus/event"
)

// OrganizationIn returns whose events the filters mean, in the form that
// subjects have, "" for more than one organization.
func OrganizationIn(filters []string) string {
	of := ""
	for i, f := range filters {
		rest, _ := strings.CutPrefix(f, event.SubjectPrefix+".")
		token, _, _ := strings.Cut(rest, ".")
		if token == "*" || token == ">" || i > 0 && token != of {
			return ""
		}
		of = token
	}
	return of
}
