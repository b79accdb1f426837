package main

import (
	"reflect"
	"slices"
	"strings"

	"headwater/cmd/headwater/client"
)

// grammar returns the command line of the one client command that args begin with,
// nil where they begin with another or ask for help. Making the whole costs more
// than many a command does; what this one does not take is for the whole to judge.
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
