package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// HelpCmd makes "help" appear in the list of commands. Before parsing, asHelp
// turns it into the --help of a command.
type HelpCmd struct {
	Command []string `arg:"" optional:"" help:"The command to explain; all of them without."`
}

// Run is never called; see asHelp.
func (*HelpCmd) Run() error { return nil }

// asHelp turns "help sync" into "sync --help", and returns other arguments
// unchanged.
func asHelp(args []string) []string {
	if len(args) == 0 || args[0] != "help" {
		return args
	}
	return append(slices.Clone(args[1:]), "--help")
}

// printHelp prints kong's help and, for the program as a whole, the exit codes.
func printHelp(options kong.HelpOptions, c *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, c); err != nil {
		return err
	}
	if c.Selected() == nil {
		_, err := fmt.Fprintf(c.Stdout, "\n%s\n", exit.Codes)
		return err
	}
	return nil
}

// VersionCmd says what the program was built from.
type VersionCmd struct {
	JSON bool `name:"json" help:"Print it as JSON, for programs."`
}

// Run prints the version, the commit and the compiler.
func (c *VersionCmd) Run(s terminal.Streams) error {
	info, _ := debug.ReadBuildInfo()
	built := buildOf(info)
	if c.JSON {
		return terminal.PrintJSON(s, built)
	}
	return built.print(s.Out)
}

// build is what a program was built from; unknown fields are empty.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Time     string `json:"commit_time"`
	Modified bool   `json:"modified"` // the files differed from the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildOf(info *debug.BuildInfo) build {
	b := build{Version: "unknown"}
	if info == nil {
		return b
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b.Commit, b.Time, b.Modified = set["vcs.revision"], set["vcs.time"], set["vcs.modified"] == "true"
	b.Go = info.GoVersion
	if set["GOOS"] != "" {
		b.Platform = set["GOOS"] + "/" + set["GOARCH"]
	}
	if b.Version = info.Main.Version; b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	return b
}

// joined returns those of the texts that are not empty.
func joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), " ")
}

func (b build) print(w io.Writer) error {
	commit := b.Commit
	switch {
	case commit == "":
		commit = "unknown"
	case b.Modified:
		commit += " with changes"
	}
	_, err := fmt.Fprintf(w, "headwater %s\ncommit    %s\ngo        %s\n", b.Version, joined(commit, b.Time), joined(b.Go, b.Platform))
	return err
}
