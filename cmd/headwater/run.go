package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"headwater/cmd/headwater/ops"
)

// cli is the whole command line.
type cli struct {
	Serve ServeCmd `cmd:"" help:"Run the service: API, worker, broker and projection in one process."`
	Demo  DemoCmd  `cmd:"" help:"Show all of it on data that ships with the program."`
	Token TokenCmd `cmd:"" help:"Print a token for the API and the event stream."`

	Connectors  ConnectorsCmd  `cmd:"" group:"client" help:"What kinds of source there are and what each needs."`
	Test        TestCmd        `cmd:"" group:"client" help:"Try a connection and save nothing."`
	Connect     ConnectCmd     `cmd:"" group:"client" help:"Connect a source to a workspace."`
	Update      UpdateCmd      `cmd:"" group:"client" help:"Change some settings of a source, such as its password, and keep the others."`
	Rename      RenameCmd      `cmd:"" group:"client" help:"Give a source another name."`
	List        ListCmd        `cmd:"" group:"client" help:"List the sources of a workspace."`
	Schema      SchemaCmd      `cmd:"" group:"client" help:"Show a source's tables and columns."`
	Sync        SyncCmd        `cmd:"" group:"client" help:"Sync sources into the lake."`
	Where       WhereCmd       `cmd:"" group:"client" help:"Say where a landed table lies and how to read it."`
	Verify      VerifyCmd      `cmd:"" group:"client" help:"Compare what landed with the sources."`
	Syncs       SyncsCmd       `cmd:"" group:"client" help:"List past and running syncs."`
	Checkpoints CheckpointsCmd `cmd:"" group:"client" help:"List what of a source's tables was committed, and where a sync could start from."`
	Operations  OperationsCmd  `cmd:"" group:"client" help:"List past and running operations."`
	Operation   OperationCmd   `cmd:"" group:"client" help:"Show or cancel an operation."`
	Cancel      CancelCmd      `cmd:"" group:"client" help:"Stop an operation or one sync."`
	Events      EventsCmd      `cmd:"" group:"client" help:"Show what happened, and follow what happens."`
	Webhooks    WebhooksCmd    `cmd:"" group:"client" help:"Have events posted to URLs."`
	Cleanup     CleanupCmd     `cmd:"" group:"client" help:"Remove sources."`
	Restore     RestoreCmd     `cmd:"" group:"client" help:"Bring removed sources back."`

	Help        HelpCmd       `cmd:"" help:"Explain a command."`
	Completion  CompletionCmd `cmd:"" help:"Print what bash, zsh or fish needs to complete command lines."`
	Complete    CompleteCmd   `cmd:"" hidden:""`
	Version     VersionCmd    `cmd:"" help:"Print the version, the commit and the compiler."`
	VersionFlag versionFlag   `name:"version" help:"Print the version and end."`

	Relocate RelocateCmd `cmd:"" help:"Make the tables of a data directory lie in --lake, after either was moved, copied or restored. The service must be stopped."`
	Rebuild  RebuildCmd  `cmd:"" help:"Fold history into a fresh projection and compare it with the stored one. The service must be stopped."`
}

// run is the program: it parses args, refuses unknown HEADWATER_* variables and
// runs the chosen command until it ends or ctx is done.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("headwater"),
		kong.Description("Connects a workspace to its data sources, syncs them into open tables, and tells everyone what happened."),
		kong.UsageOnError(),
		kong.Help(printHelp),
		durations(),
		kong.Writers(stdout, stderr),
		kong.ExplicitGroups([]kong.Group{{Key: "client", Title: "Client commands (--url, --token):"}}),
	)
	if err != nil {
		return err
	}
	if err := unknownVariables(environ, variables(parser.Model)); err != nil {
		return withCode(exitUsage, err)
	}
	command, err := parser.Parse(asHelp(args))
	if err != nil {
		return withHelp(err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(parser)
	command.Bind(Streams{Out: stdout, Err: stderr, Terminal: isTerminal(stderr)}, Starter(startDemo))
	return command.Run()
}

// withHelp adds to a mistake on the command line where the right one is shown.
func withHelp(err error) error {
	var mistake *kong.ParseError
	if !errors.As(err, &mistake) {
		return err
	}
	command := "headwater"
	if node := mistake.Context.Selected(); node != nil {
		command = node.FullPath()
	}
	return fmt.Errorf("%w; '%s --help' shows how", err, command)
}

// variables returns every environment variable that some flag reads.
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

// newLog returns the operator's log: text for people at a terminal, JSON
// elsewhere.
func newLog(w io.Writer, level slog.Level) *slog.Logger {
	if isTerminal(w) {
		return ops.NewLog(w, level, ops.Text)
	}
	return ops.NewLog(w, level, ops.JSON)
}
