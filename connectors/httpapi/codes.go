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
	outcomes = words.Of(`code status statuscode resultcode returncode responsecode rspcode subcode result resultstatus responsestatus returnstatus outcome success successful ok issuccess`)
	// fine are the words and numbers of requests that went well.
	fine = words.Of(`0 00 000 0000 00000 000000 1 100 10000 20000 ok okay success successful succeeded true t y yes none done complete completed finished ready normal active
		empty nodata no_data nocontent no_content noresults no_results norecords no_records nothing found partial_content`)
	// faults are the fields that say in words what went wrong, and nothing else.
	faults = words.Of(`errmsg errormsg errormessage errordescription errortext errorreason failurereason`)
	// sentences are the fields that say in words how a request went.
	sentences = words.Of(`message msg resultmsg resultmessage returnmsg returnmessage responsemsg responsemessage retmsg statusmessage statustext detail description reason info`)
	// heads are the objects beside records that tell how a request went.
	heads = words.Of(`meta status head header responsestatus responseheader response result metadata responsemetadata`)
)

// coded returns the error that an answer is by what stands where records would.
func (p *pager) coded(a *answer, pg page) error {
	if pg.records == 0 || pg.single {
		return p.s.coded(a, pg.single)
	}
	return p.s.listedErrors(a)
}

// coded returns the error that an answer without a record is by its code of an
// error of the API's own, as in {"code":99991400,"msg":"too many","data":[]}, or by
// an outcome in a word that is not known to be a good one. An answer that says
// nothing in words is none.
func (s *source) coded(a *answer, single bool) error {
	if len(a.body) == 0 || a.body[0] != '{' {
		return nil
	}
	v := verdict{s: s, single: single}
	record := !v.object(a.in.index.Top(), true)
	if v.says == "" && v.fault != "" && !v.good && !single {
		v.says = v.fault
	}
	if v.says == "" && v.odd != "" && !v.well {
		v.says = v.odd
	} else if v.says != "" && v.said == "" {
		v.said = v.about
	}
	if record || v.says == "" || v.said == "" {
		return nil
	}
	return s.refused(a.url, driver.ErrBadData, a.body, "an error ("+v.says+"; pagination.ignore if that is none)")
}

// verdict is what an answer without records says of the request.
type verdict struct {
	s      *source
	single bool   // the answer may be a record
	says   string // the field by which it failed
	odd    string // one whose word nobody knows
	fault  string // one of words of a fault
	said   string // in words
	about  string // words that may describe a thing, too
	good   bool   // a code or an outcome is known to be good
	well   bool   // it says that it is a success
}

// object reads the fields of an answer, or of an object in it. It returns false if they
// are those of a record.
func (v *verdict) object(fields fieldsOf, top bool) bool {
	for key, value := range fields {
		plain := words.Plain(string(key))
		text := strings.ToLower(string(records.Unquote(value)))
		none := empty(value) && string(value) != "false" || text == "[]" || text == "{}"
		switch {
		case v.s.ignored(string(key)):
		case value[0] == '{' || value[0] == '[':
			if v.single && !none {
				return false // a record
			}
			if top && value[0] == '{' && heads[plain] {
				v.object(records.Fields(value), false)
			}
		case errorCodes[plain] && !none && !fine[text] && text != "false", outcomes[plain] && !none && v.failed(text):
			if outcomes[plain] && unknownWord(text) && !v.single {
				v.odd = string(key) + ": " + text
			} else {
				v.says = string(key) + ": " + text
			}
		case (errorCodes[plain] || outcomes[plain]) && fine[text]:
			v.good = true
			v.well = v.well || text == "true" && outcomes[plain]
		case faults[plain] && !none && !isFine(text):
			v.said, v.fault = text, string(key)
		case !v.single && !none && (plain == "description" || plain == "info"):
			v.about = text
		case (sentences[plain] || plain == "text" && !v.single) && !none && !isFine(text):
			v.said = text
		case v.single && !words.Failing[plain] && !errorCodes[plain] && !outcomes[plain] && !faults[plain] && !none:
			return false
		}
	}
	return true
}

// failed reports whether a number or a word says that a request failed. Beside an empty
// list a word that is not known to be good does.
func (v *verdict) failed(text string) bool {
	if digits(strings.TrimPrefix(text, "-")) {
		return !fine[text] && !(len(text) == 3 && text[0] == '2')
	}
	if !v.single {
		return !isFine(text)
	}
	return hasAny(text, bad)
}

// bad are parts of the words of requests that failed, and denials of what is good.
var bad = []string{"err", "fail", "invalid", "denied", "unauth", "forbidden", "exceed", "limit", "expired"}

// isFine reports whether a word or a sentence says that all went well, or that there is
// no record.
func isFine(text string) bool {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case fine[text] || fine[strings.ReplaceAll(text, " ", "_")] || text == "no error" || text == "no errors":
		return true
	case hasAny(text, bad) || hasAny(text, []string{"unsuccess", "not ", "n't", "access", "permission", "right", "auth", "key", "token", "不", "未"}):
		return false
	case strings.HasPrefix(text, "no ") || strings.HasPrefix(text, "0 "):
		return hasAny(text, []string{"record", "row", "result", "data", "item", "entries", "match", "found", "content"})
	}
	return strings.Contains(text, "success") || strings.Contains(text, "成功")
}

// unknownWord reports whether an outcome is a word that says neither no nor a failure.
func unknownWord(text string) bool {
	return !digits(strings.TrimPrefix(text, "-")) && text != "false" && text != "n" && text != "no" && !hasAny(text, bad)
}

func hasAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
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
			case (sentences[plain] || faults[plain]) && value[0] == '"' && !empty(value):
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
