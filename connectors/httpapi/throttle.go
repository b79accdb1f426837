package httpapi

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// defaultMaxWait is how long one request waits in all for an API that asks to wait, if
// the settings do not say.
const defaultMaxWait = 2 * time.Minute

// passes reports whether a failure of that status may pass.
func passes(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusNetworkAuthenticationRequired:
		return false
	}
	return status >= 500
}

// limited reports whether an answer is a rate limit: 429, or 403 or 503 with headers
// that say so.
func limited(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden, http.StatusServiceUnavailable:
		_, asked := waitOf(res.Header, time.Now())
		return asked
	}
	return false
}

// waitOf returns how long the headers of a refusal ask to wait. Headers of a budget that
// is not spent do not ask.
func waitOf(header http.Header, now time.Time) (wait time.Duration, asked bool) {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n, err := strconv.ParseFloat(header.Get(name), 64); err == nil && n >= 0 {
			return lasting(n / 1000), true
		}
	}
	for _, name := range []string{"Retry-After", "X-Retry-After", "X-RateLimit-Reset-After", "X-Rate-Limit-Reset-After"} {
		if d, ok := moment(header.Get(name), now); ok {
			return d, true
		}
	}
	// A reset is only worth waiting for when the budget is spent.
	for _, prefix := range []string{"X-RateLimit-", "X-Rate-Limit-", "RateLimit-", "X-Ratelimit-Requests-"} {
		left, told := strings.TrimSpace(header.Get(prefix+"Remaining")), header.Get(prefix+"Remaining") != ""
		d, ok := moment(header.Get(prefix+"Reset"), now)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(strings.SplitN(left, ",", 2)[0], 64); told && (err != nil || n > 0) {
			continue
		}
		return d, true
	}
	return structured(header.Values("RateLimit"))
}

// structured reads RateLimit as in limit=10, remaining=0, reset=5 and in
// "default";r=0;t=5.
func structured(values []string) (wait time.Duration, asked bool) {
	for _, value := range values {
		left, reset := -1.0, -1.0
		for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' }) {
			name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				continue
			}
			switch name {
			case "remaining", "r":
				left = n
			case "reset", "t":
				reset = n
			}
		}
		if left == 0 && reset >= 0 && lasting(reset) >= wait {
			wait, asked = lasting(reset), true
		}
	}
	return wait, asked
}

// moment reads a number of seconds to wait, which may have decimals, a date, or a time
// in seconds or milliseconds since 1970.
func moment(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && !math.IsInf(n, 0) {
		switch {
		case n > 1e11:
			return until(time.UnixMilli(int64(n)), now), true
		case n > 1e9:
			return until(time.Unix(0, int64(n*1e9)), now), true
		}
		return lasting(n), true
	}
	if at, err := http.ParseTime(text); err == nil {
		return until(at, now), true
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return until(at, now), true
	}
	return 0, false
}

// until returns the time to wait, with a little more for clocks that differ.
func until(at, now time.Time) time.Duration { return max(at.Sub(now), 0) + 250*time.Millisecond }

func lasting(seconds float64) time.Duration {
	return time.Duration(min(seconds, 1e8) * float64(time.Second))
}

// patience counts how often a request may be repeated and how long it may still wait.
type patience struct {
	tries  int
	waited time.Duration
}

// again returns how long to wait before a failed request is repeated, or the error to
// end with.
func (p *patience) again(s *source, f *failedTry, first bool) (time.Duration, error) {
	most := attempts
	if first {
		most = firstAttempts
	}
	if f.asked {
		if p.waited+f.wait > s.maxWait {
			return 0, driver.E(driver.ErrUnreachable, nil, "%s asks to wait for %v before the next request, and connection_config.max_wait_seconds allows %v; sync later or raise it", where(f.url), f.wait.Round(time.Second), s.maxWait)
		}
		if p.waited += f.wait; f.wait >= time.Second {
			return f.wait, nil // it said when, so this is no try in vain
		}
	}
	if p.tries++; p.tries >= most {
		return 0, f.err
	}
	return max(f.wait, backoff(p.tries)), nil
}
