// Package terminal is where a command reads and writes, and how it formats text,
// numbers and tables for people.
package terminal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams is where a command reads and writes. Results go to Out; progress,
// questions and notes go to Err, so that Out can be piped.
type Streams struct {
	Out, Err io.Writer
	Terminal bool                     // Err is a terminal: show bars instead of lines
	In       io.Reader                // nil is the program's standard input
	Getenv   func(name string) string // nil is the program's environment
}

func (s Streams) in() io.Reader {
	if s.In == nil {
		return os.Stdin
	}
	return s.In
}

// Env returns an environment variable, or "" if it is not set.
func (s Streams) Env(name string) string {
	if s.Getenv == nil {
		return os.Getenv(name)
	}
	return s.Getenv(name)
}

// Interactive reports whether there is a person to ask.
func (s Streams) Interactive() bool {
	f, ok := s.in().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Note writes one note for people to Err.
func (s Streams) Note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// Line reads one line of In, without its end. On a terminal it shows the prompt
// and, if hidden, does not echo what is typed. It returns io.ErrUnexpectedEOF if
// there is no line.
func (s Streams) Line(prompt string, hidden bool) (string, error) {
	if s.Interactive() {
		fmt.Fprint(s.Err, prompt)
		if hidden {
			typed, err := term.ReadPassword(int(s.in().(*os.File).Fd()))
			fmt.Fprintln(s.Err)
			return string(typed), err
		}
	}
	text, err := bufio.NewReader(s.in()).ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || text == "") {
		return "", io.ErrUnexpectedEOF
	}
	return strings.TrimRight(text, "\r\n"), nil
}

// PrintJSON writes data as indented JSON to Out, where nothing else should be
// written.
func PrintJSON(s Streams, data any) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(data)
}
