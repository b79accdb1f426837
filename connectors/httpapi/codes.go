package httpapi

import (
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

var (
	// errorCodes are the fields that hold the number of an error, 0 for none.
	errorCodes = words.Of(`errcode errorcode errno errornumber ret retcode retcod`)
	// outcomes are the fields that hold how a request went, a number or a word.
	outcomes = words.Of(`code status statuscode resultcode returncode responsecode rspcode subcode`)
	// fine are the words and numbers of requests that went well.
	fine = words.Of(`0 00 000 0000 00000 000000 1 100 10000 20000 ok success successful succeeded true none done complete completed normal active`)
	// sentences are the fields that say in words how a request went.
	sentences = words.Of(`message msg errmsg errormsg errormessage errordescription resultmsg resultmessage returnmsg retmsg statusmessage detail description reason info`)
)

// coded returns the error that an answer is by what stands where records would.
func (p *pager) coded(a *answer, pg page) error {
	if pg.records == 0 || pg.single {
		return p.s.coded(a, pg.single)
	}
	return p.s.listedErrors(a)
}

// coded returns the error that an answer without a record is by its code of an
// error of the API's own, as in {"code":99991400,"msg":"too many","data":[]}. An
// answer that says nothing in words is none.
func (s *source) coded(a *answer, single bool) error {
	if len(a.body) == 0 || a.body[0] != '{' {
		return nil
	}
	says, said := "", ""
	for key, value := range a.in.index.Top() {
		plain := words.Plain(string(key))
		text := strings.ToLower(string(records.Unquote(value)))
		none := empty(value) || text == "[]" || text == "{}"
		switch {
		case s.ignored(string(key)):
		case value[0] == '{' || value[0] == '[':
			if single && !none {
				return nil // a record
			}
		case errorCodes[plain] && !none && !fine[text], outcomes[plain] && !none && isOutcome(text):
			says = string(key) + ": " + text
		case sentences[plain] && !none && !fine[text]:
			said = text
		case single && !words.Failing[plain] && !errorCodes[plain] && !outcomes[plain] && !none:
			return nil
		}
	}
	if says == "" || said == "" {
		return nil
	}
	return s.refused(a.url, driver.ErrBadData, a.body, "an error ("+says+"; pagination.ignore if that is none)")
}

// isOutcome reports whether a number or a word says that a request failed.
func isOutcome(text string) bool {
	if digits(strings.TrimPrefix(text, "-")) {
		return !fine[text] && !(len(text) == 3 && text[0] == '2')
	}
	for _, word := range []string{"err", "fail", "invalid", "denied", "unauth", "forbidden", "exceed", "limit", "expired"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// listedErrors returns the error if a list contains only errors, as in
// [{"errorCode":"INVALID_SESSION_ID","message":"Session expired"}], nil if it does not.
func (s *source) listedErrors(a *answer) error {
	if len(a.body) == 0 || a.body[0] != '[' || a.in.index.Len() > 3 {
		return nil
	}
	for record := range records.Elements(a.body) {
		code, said := "", false
		for key, value := range records.Fields(record) {
			plain := words.Plain(string(key))
			switch {
			case s.ignored(string(key)):
				return nil
			case (errorCodes[plain] || plain == "error") && !empty(value):
				code = string(key)
			case sentences[plain] && value[0] == '"' && !empty(value):
				said = true
			case plain != "fields" && !words.Failing[plain]:
				return nil
			}
		}
		if code == "" || !said {
			return nil
		}
	}
	if a.in.index.Len() == 0 {
		return nil
	}
	return s.refused(a.url, driver.ErrBadData, a.body, "an error (a list of them; pagination.ignore if they are records)")
}
