package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

// longestWords is the most bytes of an API's own words that are repeated.
const longestWords = 300

var (
	wordNames = []string{"message", "error_description", "errorMessage", "error_message", "detail", "details", "msg", "errmsg", "error_msg", "result_msg", "resultMsg", "resultMessage", "description", "reason", "title", "error", "errors", "fault", "error_code", "errorCode", "code", "status", "meta", "response", "header"}
	// partials are the flags of an answer that lacks what it should have.
	partials = words.Of(`timedout searchtimedout incompleteresults incomplete isincomplete partial ispartial partialresult partialresults partialdata partialresponse ispartialresult`)
	failed   = words.Of(`error fail failed failure denied unauthorized forbidden`)
)

// own returns what an API says about an error in its own words, "" if nothing. It may
// contain what was sent: secrets are taken out before it is shown.
func own(body []byte) string {
	body = []byte(strings.TrimSpace(string(body)))
	if len(body) == 0 || !records.Valid(body) {
		return ""
	}
	return spoken(body, 0)
}

func spoken(raw []byte, depth int) string {
	if depth > 4 || len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		return readable(string(records.Unquote(raw)))
	case '[':
		for element := range records.Elements(raw) {
			return spoken(element, depth+1)
		}
	case '{':
		var said []string
		for _, name := range wordNames {
			value := records.Field(raw, name)
			if len(value) == 0 || empty(value) || string(value) == "true" {
				continue
			}
			text := spoken(value, depth+1)
			if text == "" && (value[0] == '-' || value[0] >= '0' && value[0] <= '9') {
				text = string(value)
			}
			if text != "" && !strings.Contains(strings.Join(said, ": "), text) {
				said = append(said, text)
			}
			if len(said) == 2 {
				break
			}
		}
		return readable(strings.Join(said, ": "))
	}
	return ""
}

// readable returns text in one line of bounded length.
func readable(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError }), " ")
	if len(text) > longestWords {
		text = strings.ToValidUTF8(text[:longestWords], "") + "..."
	}
	return text
}

// failure returns the error if an answer with a good status says that it failed, as
// {"ok":false} and {"errors":[...]} do, nil if it does not. listed says that it has a
// list of records.
func (s *source) failure(a *answer, listed bool) error {
	if a.status == http.StatusAccepted {
		return s.refused(a.url, driver.ErrUnreachable, a.body, "202 Accepted: it prepares the answer; sync later")
	}
	if a.status == http.StatusMultiStatus {
		return s.refused(a.url, driver.ErrBadData, a.body, "207 Multi-Status: parts of it may be missing")
	}
	if a.status == http.StatusPartialContent && a.header.Get("Content-Range") == "" {
		return s.refused(a.url, driver.ErrBadData, a.body, "206 Partial Content, without a Content-Range that says which part")
	}
	if len(a.body) == 0 || a.body[0] != '{' {
		return nil
	}
	says, only := "", true
	said := false
	for key, value := range a.in.index.Top() {
		plain := words.Plain(string(key))
		if s.ignored(string(key)) {
			continue
		}
		if listed && len(value) > longestWords && plain != "errors" {
			continue // the records
		}
		text := strings.ToLower(string(records.Unquote(value)))
		none := empty(value) || string(value) == "[]" || string(value) == "{}" || string(value) == "0"
		switch {
		case (plain == "ok" || plain == "success" || plain == "successful" || plain == "issuccess") && text == "false":
			says = string(key) + ": false"
		case (plain == "ok" || plain == "success") && text == "0" && !listed:
			says = string(key) + ": 0"
		case (plain == "fault" || plain == "exception") && !none && !listed:
			says = string(key)
		case (plain == "status" || plain == "result") && value[0] == '"' && failed[text]:
			says = string(key) + ": " + text
		case plain == "errors" && !none && (!listed || value[0] == '['), plain == "error" && !none && (!listed || value[0] != '['):
			says = string(key)
		case partials[plain] && text == "true":
			says = string(key) + ": true"
		case (plain == "code" || plain == "statuscode" || plain == "status" || plain == "errorcode" || plain == "errcode") && !listed && isFailing(value):
			says = string(key) + ": " + text
		}
		if !words.Failing[plain] {
			only = false
		}
		if value[0] == '{' && !listed && nestedFailure(plain, value) {
			says = string(key)
		}
		if flag := nestedPartial(plain, value); flag != "" && listed && !s.ignored(flag) {
			says = string(key) + "." + flag
		}
		if !none && (plain == "message" || plain == "msg" || plain == "detail" || plain == "errormessage" || plain == "errmsg" || plain == "errordescription") {
			said = true
		}
	}
	switch {
	case says != "" && (strings.HasPrefix(says, "code") || strings.HasPrefix(says, "errcode")) && !only:
		return nil // a record that has a code
	case says == "" && (listed || !only || !said):
		return nil
	case says == "":
		says = "no records"
	}
	return s.refused(a.url, driver.ErrBadData, a.body, "an error ("+says+")")
}

// nestedFailure reports whether an object beside the data says that the answer is
// an error, as in {"meta":{"code":400}} and {"status":{"error_code":1001}}.
func nestedFailure(plain string, object []byte) bool {
	if !slices.Contains([]string{"meta", "status", "header", "responsestatus", "response", "result"}, plain) {
		return false
	}
	for key, value := range records.Fields(object) {
		text := strings.ToLower(string(records.Unquote(value)))
		switch name := words.Plain(string(key)); {
		case (name == "code" || name == "status" || name == "statuscode" || name == "httpstatus") && isFailing(value),
			(name == "errorcode" || name == "errcode") && !empty(value) && text != "0",
			name == "status" && value[0] == '"' && failed[text],
			(name == "error" || name == "errors" || name == "errormessage") && !empty(value) && text != "[]" && text != "{}" && text != "0",
			(name == "success" || name == "ok") && text == "false":
			return true
		}
	}
	return false
}

// nestedPartial returns the flag by which an object beside the records says that some
// are missing, as in {"meta":{"is_partial":true}} or the failed shards of a search; ""
// if there is none.
func nestedPartial(plain string, object []byte) string {
	shards := plain == "shards"
	if object[0] != '{' || !shards && !words.Envelopes[plain] {
		return ""
	}
	for key, value := range records.Fields(object) {
		name := words.Plain(string(key))
		if n, ok := whole(value); partials[name] && string(value) == "true" || shards && name == "failed" && ok && n > 0 {
			return string(key)
		}
	}
	return ""
}

// isFailing reports whether a code is 400 or more.
func isFailing(value []byte) bool {
	n, ok := whole(value)
	return ok && n >= 400
}

// refused returns an error that has the API's own words.
func (s *source) refused(u *url.URL, kind error, body []byte, what string) error {
	if said := s.clean(own(body)); said != "" {
		return driver.E(kind, nil, "%s answers %s; it says: %s", where(u), what, said)
	}
	return driver.E(kind, nil, "%s answers %s", where(u), what)
}

// clean removes the secrets of the settings from text.
func (s *source) clean(text string) string {
	c := s.settings
	for _, secret := range []string{c.APIKey, c.BearerToken, c.Password} {
		if len(secret) > 3 {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	for _, m := range []map[string]string{c.Headers, c.Params} {
		for _, secret := range m {
			if len(secret) > 3 {
				text = strings.ReplaceAll(text, secret, "[redacted]")
			}
		}
	}
	return text
}

// ignored reports whether the settings say to ignore a sign.
func (s *source) ignored(name string) bool {
	for _, i := range s.settings.Pagination.Ignore {
		if words.Plain(i) == words.Plain(name) {
			return true
		}
	}
	return false
}
