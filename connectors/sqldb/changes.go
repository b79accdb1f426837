package sqldb

import "strings"

// ReadAnew says for people what to do where a log of changes cannot be continued.
const ReadAnew = `sync_options.reset ["*"] reads the tables whole again and takes the log up anew`

// Readiness says for people whether mode cdc can be used. missing is what the server and
// the account lack; err is why that could not be found out, nil if it could.
func Readiness(missing []string, err error) string {
	switch {
	case err != nil:
		return "whether mode cdc can be used is not known: " + err.Error()
	case len(missing) > 0:
		return "not ready for mode cdc: " + strings.Join(missing, "; ")
	}
	return "ready for mode cdc"
}
