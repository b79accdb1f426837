package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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

func (s Streams) getenv(name string) string {
	if s.Getenv == nil {
		return os.Getenv(name)
	}
	return s.Getenv(name)
}

// interactive reports whether somebody is there to be asked.
func (s Streams) interactive() bool {
	f, ok := s.in().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note writes one remark for people to Err.
func (s Streams) note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// line reads one line of In, without its end. From a terminal it shows the
// prompt and, when hidden, not what is typed. It returns io.ErrUnexpectedEOF
// when there is no line.
func (s Streams) line(prompt string, hidden bool) (string, error) {
	if s.interactive() {
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

// ClientFlags are the flags of every command that talks to a running service.
type ClientFlags struct {
	URL       string `name:"url" env:"HEADWATER_URL" default:"http://127.0.0.1:8080" help:"Where the service is."`
	Token     string `env:"HEADWATER_TOKEN" help:"Who you are; 'headwater token' prints one. Better in the variable than on the command line."`
	Workspace string `short:"w" env:"HEADWATER_WORKSPACE" default:"default" help:"Workspace to work in."`
	Scope     string `enum:"user,organization" default:"user" help:"Your own sources (user) or those shared in the organization."`
	JSON      bool   `name:"json" help:"Print the answer's data as JSON, for programs."`
}

// scopes are what a source may have.
var scopes = []string{"user", "organization"}

func (f ClientFlags) client() (*client, error) { return newClient(f.URL, f.Token, f.Workspace) }

// printJSON writes data, indented, as the only thing on Out.
func printJSON(s Streams, data any) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(data)
}

func otherScope(scope string) string {
	if scope == "organization" {
		return "user"
	}
	return "organization"
}

// hint tells of a source of that name in the other scope, "" for none.
func (c *client) hint(ctx context.Context, scope, name string) string {
	other := otherScope(scope)
	all, err := c.sources(ctx, other)
	if err == nil && slices.ContainsFunc(all, func(s sourceDoc) bool { return s.Name == name }) {
		return "; it is there with --scope " + other
	}
	return ""
}

// hints is hint for the first of the names that none of the listed has.
func (c *client) hints(ctx context.Context, scope string, listed []sourceDoc, named []string) string {
	for _, name := range named {
		if !strings.HasPrefix(name, "src_") && !slices.ContainsFunc(listed, func(d sourceDoc) bool { return d.Name == name }) {
			return c.hint(ctx, scope, name)
		}
	}
	return ""
}

// sourceIDs returns the ids of the sources that the arguments name, by id or by
// name, without repeats. A name that no source of the scope has is an error.
func (c *client) sourceIDs(ctx context.Context, scope string, named []string) ([]string, error) {
	var ids []string
	var all []sourceDoc
	for _, arg := range named {
		id := arg
		if !strings.HasPrefix(arg, "src_") {
			if all == nil {
				listed, err := c.sources(ctx, scope)
				if err != nil {
					return nil, err
				}
				all = append([]sourceDoc{}, listed...)
			}
			at := slices.IndexFunc(all, func(s sourceDoc) bool { return s.Name == arg || s.ID == arg })
			if at < 0 {
				return nil, withCode(exitRefused, fmt.Errorf("no source %q with scope %s in workspace %s%s; 'headwater list' shows what is there", arg, scope, c.workspace, c.hint(ctx, scope, arg)))
			}
			id = all[at].ID
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
