// Command headwater connects workspaces to their data sources, syncs them into
// open tables, and publishes what happened as events.
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
	collector.Begin(collectorFactor(os.Args[1:]))
	if len(os.Args) > 1 && os.Args[1] == connectorCommand {
		if err := runConnector(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "headwater: "+err.Error())
			os.Exit(1)
		}
		return
	}
	// The first signal drains the service; a second one ends the process at
	// once. SIGHUP from a closed terminal counts, unless nohup ignores it.
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

// collectorFactor returns the multiple of GOGC for a command line: a client
// command ends before its garbage is worth collecting.
func collectorFactor(args []string) int {
	if grammar(args) != nil || slices.Equal(args, []string{"--version"}) {
		return 4
	}
	return 1
}
