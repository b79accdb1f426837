// Command headwater connects workspaces to their data sources, syncs them into
// open tables and tells everyone what happened.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"headwater/cmd/headwater/collector"
	"headwater/cmd/headwater/exit"
)

func main() {
	collector.Begin(patience(os.Args[1:]))
	if len(os.Args) > 1 && os.Args[1] == connectorCommand {
		if err := runConnector(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "headwater: "+err.Error())
			os.Exit(1)
		}
		return
	}
	// The first signal drains; a second one ends the process at once. A terminal
	// that closes is one, unless nohup said to stay.
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	go func() { <-ctx.Done(); stop() }()

	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "headwater: "+err.Error())
		os.Exit(exit.Code(err))
	}
}

// patience is how many times as much garbage as GOGC says may come together: a
// client command has ended before it is worth collecting.
func patience(args []string) int {
	if grammar(args) != nil || slices.Equal(args, []string{"--version"}) {
		return 4
	}
	return 1
}
