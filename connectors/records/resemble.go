package records

import (
	"slices"
	"strings"
)

var (
	// answering are the names of fields by which a server says how a request went. A
	// record may have them, and an error in its place has them, too.
	answering = nameSet(`code status statuscode resultcode returncode responsecode rspcode subcode errcode errorcode errno errornumber apierrorcode ret retcode retcod
		result resultstatus responsestatus returnstatus outcome success successful ok issuccess error errors fault faultcode faultstring errorid errmsg errormsg errormessage
		errordescription errortext errorreason failurereason message msg resultmsg resultmessage returnmsg returnmessage responsemsg responsemessage retmsg statusmessage statustext
		detail details reason requestid traceid correlationid documentationurl`)
	// vague are names that records and errors have alike, which tell of neither.
	vague = nameSet(`type title description info text timestamp path instance method data help hint docs doc documentation moreinfo logref`)
)

func nameSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[word] = true
	}
	return set
}

// Resembles reports whether an object that stands where records were may be one of them:
// an error or a notice would replace them all. before are the columns that they had. A
// name that errors have, too, speaks for nothing, nor does an id beside what is unknown.
// some says that other records are beside it, each of which has some of the columns.
func Resembles(before, fields []string, some bool) bool {
	shared, own, unknown := 0, 0, 0
	id, answers, answersAnew := false, false, false
	for _, field := range fields {
		if field == "" {
			field = Unnamed
		}
		name := strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(field))
		known := slices.Contains(before, field)
		answers = answers || answering[name]
		switch {
		case field == Extra: // has another name as a column
			continue
		case !known:
			unknown++
			answersAnew = answersAnew || answering[name]
			continue
		case name == "id":
			id = true
		case !answering[name] && !vague[name]:
			own++
		}
		shared++
	}
	switch {
	case shared == len(before):
		return own > 0 || !answersAnew
	case unknown == 0:
		return own > 0 || shared > 0 && !answers
	case some:
		return own > 0 || id && !answers
	case id && own > 0, own > 1:
		return shared*2 >= min(len(before), len(fields))
	}
	return false
}

// FirstFew returns names as a message has them, up to five.
func FirstFew(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
