// Package terminal is where a command reads and writes, and how text, numbers
// and tables stand there for people.
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

// Streams is where a command reads and writes. Answers go to Out, progress,
// questions and remarks to Err, so that Out can be piped.
type Streams struct {
	Out, Err io.Writer
	Terminal bool                     // Err is a terminal: bars instead of lines
	In       io.Reader                // nil means the program's standard input
	Getenv   func(name string) string // nil means the program's environment
}

func (s Streams) in() io.Reader {
	if s.In == nil {
		return os.Stdin
	}
	return s.In
}

// Env returns a variable of the environment, "" for one that is not there.
func (s Streams) Env(name string) string {
	if s.Getenv == nil {
		return os.Getenv(name)
	}
	return s.Getenv(name)
}

// Interactive reports whether somebody is there to be asked.
func (s Streams) Interactive() bool {
	f, ok := s.in().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Note writes one remark for people to Err.
func (s Streams) Note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// Line reads one line of In, without its end. From a terminal it shows the
// prompt and, when hidden, not what is typed. It returns io.ErrUnexpectedEOF
// when there is no line.
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

// PrintJSON writes data, indented, as the only thing on Out.
func PrintJSON(s Streams, data any) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(data)
}
