// Package completion answers what a shell asks to complete a command line of the
// program.
package completion

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// CompletionCmd prints a shell's completion script.
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish. To have it in every shell: source <(headwater completion bash) in .bashrc, the same for zsh in .zshrc; headwater completion fish | source in config.fish."`
}

// The scripts call the program itself, so that they fit every version of it.
var completions = map[string]string{
	"bash": `_headwater() {
  local IFS=$'\n' line
  COMPREPLY=()
  for line in $("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
    COMPREPLY+=("${line%%$'\t'*}")
  done
}
complete -o default -F _headwater headwater
`,
	"zsh": `#compdef headwater
_headwater() {
  local -a found
  local line
  for line in "${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  if (( $#found )); then _describe headwater found; else _files; fi
}
compdef _headwater headwater
`,
	"fish": `function __headwater
  set -l words (commandline -opc)
  $words[1] complete -- $words[2..] (commandline -ct) 2>/dev/null
end
complete -c headwater -a '(__headwater)'
`,
}

// Run prints the script.
func (c *CompletionCmd) Run(s terminal.Streams) error {
	_, err := io.WriteString(s.Out, completions[c.Shell])
	return err
}

// CompleteCmd is called by the scripts.
type CompleteCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints what the last word may become, one per line with a description. It
// prints nothing where only a file name fits.
func (c *CompleteCmd) Run(ctx context.Context, s terminal.Streams, app *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	at, flag, typed := whereIs(app.Model.Node, words)
	var found []candidate
	switch {
	case flag != nil:
		found = values(flag.Value)
	case strings.HasPrefix(typed, "-"):
		found = flagsOf(at)
	case len(at.Children) > 0:
		found = commandsOf(at)
	default:
		found = positional(ctx, s, at)
	}
	for _, f := range found {
		if !strings.HasPrefix(f.text, typed) {
			continue
		}
		if _, err := fmt.Fprintf(s.Out, "%s\t%s\n", f.text, firstSentence(f.what)); err != nil {
			return err
		}
	}
	return nil
}

type candidate struct{ text, what string }

// whereIs returns the command that the words lead to, the flag whose value is
// being typed (nil for none), and the part of it that is typed. bash splits
// --flag=value at the "=".
func whereIs(node *kong.Node, words []string) (at *kong.Node, flag *kong.Flag, typed string) {
	at = node
	if len(words) == 0 {
		return at, nil, ""
	}
	last := len(words) - 1
	for _, word := range words[:last] {
		switch {
		case word == "=":
		case flag != nil:
			flag = nil
		case strings.HasPrefix(word, "-"):
			if !strings.Contains(word, "=") {
				flag = takesValue(at, word)
			}
		default:
			if i := slices.IndexFunc(at.Children, func(c *kong.Node) bool { return c.Name == word }); i >= 0 {
				at = at.Children[i]
			}
		}
	}
	if typed = words[last]; typed == "=" {
		typed = ""
	}
	return at, flag, typed
}

// takesValue returns the flag of that spelling if it takes a value.
func takesValue(at *kong.Node, word string) *kong.Flag {
	for _, group := range at.AllFlags(false) {
		for _, f := range group {
			if (word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short)) && !f.IsBool() {
				return f
			}
		}
	}
	return nil
}

func flagsOf(at *kong.Node) (all []candidate) {
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			all = append(all, candidate{"--" + f.Name, f.Help})
		}
	}
	return all
}

func commandsOf(at *kong.Node) (all []candidate) {
	for _, c := range at.Children {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Help})
		}
	}
	return all
}

func values(v *kong.Value) (all []candidate) {
	if v.Enum == "" {
		return nil
	}
	for _, text := range v.EnumSlice() {
		if text != "" {
			all = append(all, candidate{text, ""})
		}
	}
	return all
}

// positional returns the possible values of a command's arguments: the fixed
// ones, and names of sources if the service answers at once.
func positional(ctx context.Context, s terminal.Streams, at *kong.Node) (all []candidate) {
	for _, p := range at.Positional {
		all = append(all, values(p)...)
		if p.Name != "source" && p.Name != "sources" {
			continue
		}
		api, err := rest.New(orDefault(s.Env("HEADWATER_URL"), "http://127.0.0.1:8080"), s.Env("HEADWATER_TOKEN"), orDefault(s.Env("HEADWATER_WORKSPACE"), "default"))
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		for _, scope := range rest.Scopes {
			sources, err := api.Sources(ctx, scope)
			if err != nil {
				break
			}
			for _, source := range sources {
				if c := (candidate{terminal.Plain(source.Name), source.Connector}); !slices.Contains(all, c) {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

func orDefault(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	return strings.TrimSuffix(terminal.Plain(text), ".")
}
