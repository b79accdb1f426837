package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"headwater/cmd/headwater/client"
)

// shape is what a command takes: its flags and arguments and those below it.
func shape(n *kong.Node) string {
	var b strings.Builder
	for _, group := range n.AllFlags(false) {
		for _, f := range group {
			if f.Name != "version" { // the program's own
				fmt.Fprintf(&b, "--%s %v %q %q %s\n", f.Name, f.Envs, f.Default, f.Enum, f.Help)
			}
		}
	}
	for _, p := range n.Positional {
		fmt.Fprintf(&b, "%s %v\n", p.Name, p.Required)
	}
	for _, c := range n.Children {
		b.WriteString(c.Name + "\n" + shape(c))
	}
	return b.String()
}

// TestOnePhraseForARepeat holds the help texts to one phrase for a flag that may be
// given more than once.
func TestOnePhraseForARepeat(t *testing.T) {
	whole, err := parserOf(new(cli), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all := shape(whole.Model.Node)
	if n := strings.Count(all, "may repeat"); n < 10 {
		t.Errorf("%d flags may repeat", n)
	}
	for _, other := range []string{"several times", "repeatable", "more than once", "repeatedly"} {
		if at := strings.Index(all, other); at >= 0 {
			t.Errorf("a help text has %q: %s", other, all[max(0, at-100):at+len(other)])
		}
	}
}

// TestOneCommandIsThatOfTheWhole holds that a client command which is parsed alone
// takes what it takes as part of the whole, and that the whole has the last word.
func TestOneCommandIsThatOfTheWhole(t *testing.T) {
	whole, err := parserOf(new(cli), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, node := range whole.Model.Children {
		target := grammar([]string{node.Name})
		if target == nil {
			continue
		}
		one, err := parserOf(target, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		compared++
		if got, want := shape(one.Model.Children[0]), shape(node); got != want || got == "" {
			t.Errorf("%s alone:\n%s\nof the whole:\n%s", node.Name, got, want)
		}
	}
	if n := reflect.TypeFor[client.Commands]().NumField(); compared != n {
		t.Errorf("%d commands are parsed alone, there are %d", compared, n)
	}
	for _, args := range []string{"list --no-such-flag", "list a", "sync --mode merge", "lst"} {
		if _, command := light(strings.Fields(args), nil, io.Discard, io.Discard); command != nil {
			t.Errorf("%q is taken", args)
		}
	}
	if _, command := light([]string{"list"}, []string{"HEADWATER_GRACE=1h"}, io.Discard, io.Discard); command != nil {
		t.Error("a variable of another command is not looked up in the whole")
	}
	for _, args := range []string{"list --help", "list -h", "help list", "serve", "--version", ""} {
		if grammar(strings.Fields(args)) != nil {
			t.Errorf("%q is taken for a client command", args)
		}
	}
}
