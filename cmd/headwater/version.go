package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// versionFlag prints what the program was built from and exits.
type versionFlag bool

// BeforeReset is kong's hook for flags that take precedence over everything
// else.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintln(app.Stdout, "headwater "+versionOf(info))
	app.Exit(0)
	return err
}

// versionOf returns the module's version, or the commit if it has none, and the
// compiler.
func versionOf(info *debug.BuildInfo) string {
	if info == nil {
		return "of an unknown build"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		var commit, changed string
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = "-" + s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+dirty"
			}
		}
		version += commit + changed
	}
	return version + " " + info.GoVersion
}

// buildVersion is versionOf for this program, without the compiler.
func buildVersion() string {
	info, _ := debug.ReadBuildInfo()
	version, _, _ := strings.Cut(versionOf(info), " ")
	return version
}
