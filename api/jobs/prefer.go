package jobs

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// preference is what a client asked for with Prefer (RFC 7240).
type preference struct {
	wait    time.Duration
	async   bool // respond-async
	seconds string
}

// preferences reads the Prefer headers. Unknown and malformed preferences are
// ignored, as RFC 7240 requires.
func (u *Runner) preferences(header http.Header) preference {
	p := preference{wait: u.Limits.Wait}
	for _, item := range strings.Split(strings.Join(header.Values("Prefer"), ","), ",") {
		item, _, _ = strings.Cut(item, ";")
		name, value, _ := strings.Cut(item, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			p.async = true
		case "wait":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil && p.seconds == "" {
				p.wait = min(time.Duration(n)*time.Second, u.Limits.MaxWait)
				p.seconds = strconv.Itoa(int(p.wait / time.Second))
			}
		}
	}
	if p.async && p.seconds == "" {
		p.wait = 0
	}
	return p
}

// applied adds Preference-Applied to an answer, naming the preferences that it
// honours.
func (p preference) applied(header http.Header, accepted bool) {
	var honoured []string
	if p.async && accepted {
		honoured = append(honoured, "respond-async")
	}
	if p.seconds != "" {
		honoured = append(honoured, "wait="+p.seconds)
	}
	if honoured != nil {
		header.Set("Preference-Applied", strings.Join(honoured, ", "))
	}
}
