package tablekeys

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a policy allows, after the reference of IAM's policy elements and variables
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html):
// nothing here is taken from what writes policies.

type iamStatement struct {
	Effect, Action, Resource string
	Condition                map[string]map[string]string
}

type iamPolicy struct {
	Version   string
	Statement []iamStatement
}

func parsed(t testing.TB, document string) iamPolicy {
	t.Helper()
	var p iamPolicy
	if err := json.Unmarshal([]byte(document), &p); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	return p
}

// allows reports whether a policy allows an action on a resource, with the prefix of
// a listing.
func (p iamPolicy) allows(action, resource string, prefix *string) bool {
	for _, s := range p.Statement {
		if s.Effect != "Allow" || !iamMatch(tokensOf(s.Action), action) || !iamMatch(tokensOf(s.Resource), resource) {
			continue
		}
		holds := true
		for operator, of := range s.Condition {
			for key, pattern := range of {
				holds = holds && operator == "StringLike" && key == "s3:prefix" && prefix != nil && iamMatch(tokensOf(pattern), *prefix)
			}
		}
		if holds {
			return true
		}
	}
	return false
}

// token is a character, any one, or any number of any.
type token struct {
	char     rune
	one, all bool
	never    bool // a variable that the request does not have
}

func tokensOf(pattern string) (all []token) {
	for pattern != "" {
		switch {
		case strings.HasPrefix(pattern, "${"):
			end := strings.Index(pattern, "}")
			if end < 0 {
				return append(all, token{never: true})
			}
			switch name := pattern[2:end]; name {
			case "*", "?", "$":
				all = append(all, token{char: rune(name[0])})
			default:
				all = append(all, token{never: true})
			}
			pattern = pattern[end+1:]
		case pattern[0] == '*':
			all, pattern = append(all, token{all: true}), pattern[1:]
		case pattern[0] == '?':
			all, pattern = append(all, token{one: true}), pattern[1:]
		default:
			r, size := utf8.DecodeRuneInString(pattern)
			all, pattern = append(all, token{char: r}), pattern[size:]
		}
	}
	return all
}

func iamMatch(pattern []token, text string) bool { return iamRunes(pattern, []rune(text)) }

func iamRunes(pattern []token, text []rune) bool {
	for len(pattern) > 0 {
		switch p := pattern[0]; {
		case p.never:
			return false
		case p.all:
			for n := range len(text) + 1 {
				if iamRunes(pattern[1:], text[n:]) {
					return true
				}
			}
			return false
		case len(text) == 0 || !p.one && p.char != text[0]:
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return len(text) == 0
}
