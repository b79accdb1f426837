package event

import (
	"errors"
	"fmt"
	"strings"
)

// Stream is the JetStream stream that holds every event, in order, from sequence
// 1.
const Stream = "HEADWATER_EVENTS"

// SubjectPrefix is the prefix of every event's subject.
const SubjectPrefix = "headwater.events"

// Shared is the owner token of sources with scope "organization". No user's name
// has this token.
const Shared = "_"

// Address identifies the history that a message belongs to. Every source has one
// address for life; its events form one ordered history.
type Address struct {
	Organization string
	Workspace    string
	Owner        string // user name; "" for scope "organization"
	Source       string // source id, or the id of an operation or test without a source
}

// Scope returns "user" or "organization".
func (a Address) Scope() string {
	if a.Owner == "" {
		return "organization"
	}
	return "user"
}

// Tokens returns the address as four subject tokens separated by dots. It is
// injective: addresses with equal tokens are equal.
func (a Address) Tokens() string {
	owner := Shared
	if a.Owner != "" {
		owner = Token(a.Owner)
	}
	return Token(a.Organization) + "." + Token(a.Workspace) + "." + owner + "." + Token(a.Source)
}

// Subject returns the subject on which the named event of this address is
// published: headwater.events.<org>.<workspace>.<owner>.<source>.<Event>.
func (a Address) Subject(name string) string {
	return SubjectPrefix + "." + a.Tokens() + "." + name
}

// Publishes reports whether subject is the subject of the named event of this
// address. It is faster than comparing with Subject.
func (a Address) Publishes(subject, name string) bool {
	rest, ok := strings.CutPrefix(subject, SubjectPrefix)
	owner := Shared
	if a.Owner != "" {
		owner = Token(a.Owner)
	}
	for _, token := range [...]string{Token(a.Organization), Token(a.Workspace), owner, Token(a.Source), name} {
		if !ok || len(rest) <= len(token) || rest[0] != '.' || rest[1:1+len(token)] != token {
			return false
		}
		rest = rest[1+len(token):]
	}
	return rest == ""
}

// Filter returns the subject filter that matches the whole history of this
// address.
func (a Address) Filter() string { return a.Subject("*") }

// ParseAddress reads the address back from a subject with the given prefix
// (SubjectPrefix for events) and returns it with the subject's last token.
func ParseAddress(prefix, subject string) (Address, string, error) {
	rest, ok := strings.CutPrefix(subject, prefix+".")
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 5 {
		return Address{}, "", fmt.Errorf("subject %q is not %s.<org>.<workspace>.<owner>.<source>.<name>", subject, prefix)
	}
	var plain [4]string
	for i, token := range tokens[:4] {
		if i == 2 && token == Shared {
			continue
		}
		text, err := Untoken(token)
		if err != nil {
			return Address{}, "", fmt.Errorf("subject %q: %w", subject, err)
		}
		plain[i] = text
	}
	return Address{plain[0], plain[1], plain[2], plain[3]}, tokens[4], nil
}

const hexDigits = "0123456789ABCDEF"

// Token encodes any text as one NATS subject token. Text of [A-Za-z0-9_-]+ stays
// unchanged, except the bare "_", which is reserved for Shared; every other byte
// becomes "=XX". It is injective and never returns "", "_", or a token with a
// dot, a wildcard or white space.
func Token(text string) string {
	if text == "" {
		return "="
	}
	if text == Shared {
		return "=5F"
	}
	if plain(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if c := text[i]; plainByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

var errToken = errors.New("not an encoded subject token")

// Untoken reverses Token. It fails for every text that Token does not return.
func Untoken(token string) (string, error) {
	if token == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		switch {
		case plainByte(c):
			b.WriteByte(c)
		case c == '=' && i+2 < len(token):
			hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if hi < 0 || lo < 0 {
				return "", errToken
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		default:
			return "", errToken
		}
	}
	text := b.String()
	if Token(text) != token {
		return "", errToken
	}
	return text, nil
}

func plain(text string) bool {
	for i := 0; i < len(text); i++ {
		if !plainByte(text[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
