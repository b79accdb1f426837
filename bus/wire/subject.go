package wire

import (
	"strings"

	"headwater/bus/event"
)

// OrganizationIn returns the subject token of the organization whose events the
// filters match, or "" for more than one organization.
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
