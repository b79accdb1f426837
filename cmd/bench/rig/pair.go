package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Side is one of the two things that are compared: it does its work once and
// returns how long that took.
type Side func(context.Context) (time.Duration, error)

// Pair runs ours and the limit in turn, once unmeasured and then n times each,
// and returns the medians, or the first error of either.
func (b *Rig) Pair(ctx context.Context, name string, ours, limit Side) (our, lim time.Duration, err error) {
	return b.PairIn(ctx, name, 1, ours, limit)
}

// PairIn is Pair whose runs each consist of so many turns of both sides, for
// what depends on a disk that is quick one moment and slow the next.
func (b *Rig) PairIn(ctx context.Context, name string, turns int, ours, limit Side) (our, lim time.Duration, err error) {
	var a, z []time.Duration
	for i := range b.Runs + 1 {
		var x, y time.Duration
		for range turns {
			took, err := ours(ctx)
			if err != nil {
				return 0, 0, fmt.Errorf("ours: %w", err)
			}
			x += took
			if took, err = limit(ctx); err != nil {
				return 0, 0, fmt.Errorf("the limit: %w", err)
			}
			y += took
		}
		if i == 0 {
			continue // caches are warm now, on both sides
		}
		a, z = append(a, x), append(z, y)
		b.Say("%s %d/%d: %.2f s, limit %.2f s, ratio %.2f", name, i, b.Runs, x.Seconds(), y.Seconds(), x.Seconds()/y.Seconds())
	}
	return Median(a), Median(z), nil
}

// Median returns the one in the middle, or the mean of the two, of at least one.
func Median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Drain runs a program, throws away what it prints and returns how long it took. env is
// added to the environment. An error has what the program said of it.
func Drain(ctx context.Context, env []string, program string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = null, &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, errors.Join(fmt.Errorf("%s: %w", filepath.Base(program), err), errors.New(said.String()))
	}
	return time.Since(began), nil
}
