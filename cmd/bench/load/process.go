package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// apart has a part of this program, in a process of its own, do what it is told
// and returns how long that took.
func apart(ctx context.Context, part string, told any) (time.Duration, error) {
	input, err := json.Marshal(told)
	if err != nil {
		return 0, err
	}
	cmd, err := Self(ctx, part, input)
	if err != nil {
		return 0, err
	}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the load: %w: %s", err, StderrOf(err))
	}
	return time.ParseDuration(strings.TrimSpace(string(out)))
}

// Self returns this program in another part; input is its standard input.
func Self(ctx context.Context, part string, input []byte) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), Variable+"="+part)
	cmd.Stdin = bytes.NewReader(input)
	return cmd, nil
}

// StderrOf returns what a program said that ended with an error, "" for other errors.
func StderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// Variable tells a process of this program which part it plays.
const Variable = "HEADWATER_BENCH_PART"

// Play plays a part of this package or one of others, and reports whether there was
// one: "" is none.
func Play(part string, in io.Reader, out io.Writer, others map[string]func(io.Reader, io.Writer) error) (bool, error) {
	switch part {
	case "":
		return false, nil
	case "generate":
		return true, generate[Load](in, out)
	case "order":
		return true, generate[Orders](in, out)
	case "bare":
		return true, serveBare(in, out)
	}
	if play, ok := others[part]; ok {
		return true, play(in, out)
	}
	return true, fmt.Errorf("there is no part %q", part)
}

// generate makes the load that it is told and prints how long that took.
func generate[L interface {
	generate() (time.Duration, error)
}](in io.Reader, out io.Writer) error {
	var l L
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return err
	}
	took, err := l.generate()
	fmt.Fprintln(out, took)
	return err
}
