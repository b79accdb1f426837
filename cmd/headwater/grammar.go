package main

import (
	"reflect"
	"slices"
	"strings"

	"headwater/cmd/headwater/client"
)

// grammar returns the command line of the client command that args begin with,
// or nil for another command or a request for help. Building the parser of all
// commands takes longer than many commands run. A command line that this parser
// rejects is parsed again by the full one.
func grammar(args []string) any {
	if len(args) == 0 || slices.ContainsFunc(args, asksForHelp) {
		return nil
	}
	commands := reflect.TypeFor[client.Commands]()
	for i := range commands.NumField() {
		if field := commands.Field(i); strings.ToLower(field.Name) == args[0] {
			one := reflect.StructField{Name: field.Name, Type: field.Type, Tag: field.Tag}
			return reflect.New(reflect.StructOf([]reflect.StructField{one})).Interface()
		}
	}
	return nil
}

func asksForHelp(arg string) bool {
	return arg == "--version" || strings.HasPrefix(arg, "-h") || strings.HasPrefix(arg, "--h")
}
