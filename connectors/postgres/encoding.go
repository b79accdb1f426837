package postgres

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"headwater/connectors/driver"
)

// charset returns what text that is not UTF-8 is in, nil where nobody said.
func (s *Settings) charset() (encoding.Encoding, error) {
	if s.Encoding == "" {
		return nil, nil
	}
	e, err := htmlindex.Get(s.Encoding)
	if err != nil {
		return nil, driver.InvalidField("encoding", "%q is no known encoding; windows-1252, iso-8859-2 or shift_jis are", s.Encoding)
	}
	return e, nil
}

// decodeText returns text of a database that does not say what its bytes mean as
// UTF-8. What is UTF-8 already stays.
func decodeText(e encoding.Encoding, v []byte) ([]byte, error) {
	if utf8.Valid(v) {
		return v, nil
	}
	if e == nil {
		return nil, errUTF8
	}
	out, err := e.NewDecoder().Bytes(v)
	if err != nil {
		return nil, errUTF8
	}
	return out, nil
}
