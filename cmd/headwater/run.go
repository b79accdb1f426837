package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/client/completion"
	"headwater/cmd/headwater/demo"
	"headwater/cmd/headwater/duration"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/ops"
	"headwater/cmd/headwater/terminal"
)

// cli is the whole command line.
type cli struct {
	Serve ServeCmd `cmd:"" help:"Run the service: API, worker, broker and read model in one process."`
	Demo  demo.Cmd `cmd:"" help:"Run the service and show what it does, on sample data that ships with the program."`
	Token TokenCmd `cmd:"" help:"Print a token for the API and the event stream."`

	client.Commands `embed:""`

	Help        HelpCmd                  `cmd:"" help:"Show the help of a command."`
	Completion  completion.CompletionCmd `cmd:"" help:"Print what bash, zsh or fish needs to complete command lines."`
	Complete    completion.CompleteCmd   `cmd:"" hidden:""`
	Version     VersionCmd               `cmd:"" help:"Print the version, the commit and the compiler."`
	VersionFlag versionFlag              `name:"version" help:"Print the version and end."`

	Relocate RelocateCmd `cmd:"" help:"Rewrite the paths of tables after the data directory or the lake was moved, copied or restored. The service must be stopped."`
	Rebuild  RebuildCmd  `cmd:"" help:"Replay the history into a new read model and compare it with the stored one. The service must be stopped."`
}

// run is the program: it parses args, refuses unknown HEADWATER_* variables, and
// runs the command until it ends or ctx is done.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	parser, command := light(args, environ, stdout, stderr)
	if command == nil {
		var err error
		if parser, command, err = whole(args, environ, stdout, stderr); err != nil {
			return err
		}
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(parser)
	command.Bind(terminal.Streams{Out: stdout, Err: stderr, Terminal: isTerminal(stderr)}, demo.Starter(startDemo))
	return command.Run()
}

// light parses the command line of one client command. It returns nil for
// anything else, including mistakes, which only the full parser can explain.
func light(args, environ []string, stdout, stderr io.Writer) (*kong.Kong, *kong.Context) {
	target := grammar(args)
	if target == nil {
		return nil, nil
	}
	parser, err := parserOf(target, stdout, stderr)
	if err != nil || unknownVariables(environ, variables(parser.Model)) != nil {
		return nil, nil
	}
	command, err := parser.Parse(args)
	if err != nil {
		return nil, nil
	}
	return parser, command
}

// whole parses any command line.
func whole(args, environ []string, stdout, stderr io.Writer) (*kong.Kong, *kong.Context, error) {
	parser, err := parserOf(new(cli), stdout, stderr)
	if err != nil {
		return nil, nil, err
	}
	if err := unknownVariables(environ, variables(parser.Model)); err != nil {
		return nil, nil, exit.With(exit.Usage, err)
	}
	command, err := parser.Parse(asHelp(args))
	if err != nil {
		return nil, nil, withHelp(err)
	}
	return parser, command, nil
}

// parserOf returns the parser for a command line.
func parserOf(target any, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(target,
		kong.Name("headwater"),
		kong.Description("Connects a workspace to its data sources, syncs them into open tables, and tells everyone what happened."),
		kong.UsageOnError(),
		kong.Help(printHelp),
		duration.Flags(),
		kong.Writers(stdout, stderr),
		kong.ExplicitGroups([]kong.Group{{Key: "client", Title: "Client commands (--url, --token):"}}),
	)
}

// withHelp adds to an error of the command line where to find help. A flag that may be left
// out takes "", which is nothing to choose: the values that a message lists are the others.
func withHelp(err error) error {
	var mistake *kong.ParseError
	if !errors.As(err, &mistake) {
		return err
	}
	command := "headwater"
	if node := mistake.Context.Selected(); node != nil {
		command = node.FullPath()
	}
	text := strings.Replace(err.Error(), `must be one of "",`, "must be one of ", 1)
	return &misused{fmt.Sprintf("%s; '%s --help' shows how", text, command), err}
}

// misused is an error of the command line in other words.
type misused struct {
	text string
	err  error
}

func (m *misused) Error() string { return m.text }
func (m *misused) Unwrap() error { return m.err }

// variables returns the names of all environment variables that flags read.
func variables(model *kong.Application) []string {
	var names []string
	_ = kong.Visit(model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			names = append(names, flag.Envs...)
		}
		return next(nil)
	})
	return names
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// newLog returns the operator's log: text for people at a terminal, else JSON.
func newLog(w io.Writer, level slog.Level) *slog.Logger {
	if isTerminal(w) {
		return ops.NewLog(w, level, ops.Text)
	}
	return ops.NewLog(w, level, ops.JSON)
}
