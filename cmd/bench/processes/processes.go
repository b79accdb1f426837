// Package processes says what processes and their children take: memory, and time of the
// processor. It reads /proc, so it knows nothing on systems that have none.
package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ticks is how many units of CPU time the kernel's files count in a second.
const ticks = 100

// sampleEvery is how often memory is looked at.
const sampleEvery = 50 * time.Millisecond

// WatchMemory follows a process and its descendants. The returned function ends
// that and returns the most bytes of memory that they held at once (the sum of
// their proportional set sizes: a page that they share counts once, and the
// children are the same program), and the most of that which was not pages of
// files.
func WatchMemory(pid int) func() (peak, own int64) {
	return watchThose(func() []int { return family(pid) })
}

// WatchAlone is WatchMemory of a process without its descendants, and without
// pages of files.
func WatchAlone(pid int) func() int64 {
	watch := watchThose(func() []int { return []int{pid} })
	return func() int64 {
		_, own := watch()
		return own
	}
}

func watchThose(pids func() []int) func() (peak, own int64) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var most, mostOwn int64
	wg.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			var now, nowOwn int64
			for _, p := range pids() {
				m := Held(p)
				now += m["Pss"]
				nowOwn += m["Pss_Anon"]
			}
			most, mostOwn = max(most, now), max(mostOwn, nowOwn)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() (peak, own int64) {
		close(stop)
		wg.Wait()
		return most, mostOwn
	}
}

// family returns a process and all below it.
func family(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid; the name may hold anything.
		end := strings.LastIndexByte(string(text), ')')
		fields := strings.Fields(string(text[end+1:]))
		if end < 0 || len(fields) < 2 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// Held returns what the kernel says of a process's memory, in bytes by name,
// nothing of one that has ended.
func Held(pid int) map[string]int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return nil
	}
	found := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			found[name] = kib << 10
		}
	}
	return found
}

// CPU returns the CPU time of a process and of all below it.
func CPU(pid int) time.Duration {
	var sum int64
	for _, p := range family(pid) {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p), "stat"))
		if err != nil {
			continue // it has ended, and its parent counts it
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		for _, f := range fields[11:15] { // utime, stime, and those of children that were waited for
			n, _ := strconv.ParseInt(f, 10, 64)
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / ticks
}
