package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory measures the most that the service and its children hold while one
// table is synced, on a fresh service each, and while one of four times the rows
// is.
func (b *bench) memory(ctx context.Context) ([]result, error) {
	const most = 300 << 20
	var peaks, owns [2]int64
	var rates [2]float64
	for i, times := range []int{1, narrowTimes} {
		rows := b.rows(narrowRows) * times
		table := fmt.Sprintf("narrow_%d", times)
		if err := b.fillNarrow(ctx, table, rows); err != nil {
			return nil, err
		}
		s, err := b.start(ctx, b.cache)
		if err != nil {
			return nil, err
		}
		source, err := b.connectPostgres(ctx, s)
		if err != nil {
			return nil, err
		}
		watch := watchMemory(s.cmd.Process.Pid)
		_, took, err := s.sync(ctx, source, object{"mode": "full_refresh", "tables": []string{table}})
		peak, own := watch()
		s.stop()
		if err != nil {
			return nil, err
		}
		peaks[i], rates[i] = peak, float64(rows)/took.Seconds()/1000
		owns[i] = own
		b.say("memory, %d rows: at most %d MiB at once, %d MiB without pages of files", rows, peak>>20, own>>20)
	}
	row := func(rows int, peak, own int64, rate float64, target string, ok bool) result {
		return result{work: fmt.Sprintf("memory of all processes, PostgreSQL, %d x 5", rows), ours: fmt.Sprintf("%d MiB (%d of them not pages of the program)", peak>>20, own>>20),
			limit: "-", ratio: "-", target: target, rate: fmt.Sprintf("%.0f krows/s", rate), ok: ok}
	}
	small := b.rows(narrowRows)
	larger := row(small*narrowTimes, peaks[1], owns[1], rates[1], "no more than that, within 10 %", peaks[1] <= peaks[0]+peaks[0]/10 && peaks[1] <= most+most/10)
	larger.ratio = fmt.Sprintf("%.2f", float64(peaks[1])/float64(peaks[0]))
	return []result{row(small, peaks[0], owns[0], rates[0], "at most 300 MiB", peaks[0] <= most), larger}, nil
}

// sampleEvery is how often memory is looked at.
const sampleEvery = 50 * time.Millisecond

// watchMemory follows a process and its descendants. The returned function ends
// that and returns the most bytes of memory that they held at once (the sum of
// their proportional set sizes: a page that they share counts once, and the
// children are the same program), and the most of that which was not pages of
// files.
func watchMemory(pid int) func() (peak, own int64) {
	return watchThose(func() []int { return family(pid) })
}

// watchAlone is watchMemory of a process without its descendants, and without
// pages of files.
func watchAlone(pid int) func() int64 {
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
				m := held(p)
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

// held returns what the kernel says of a process's memory, in bytes by name,
// nothing of one that has ended.
func held(pid int) map[string]int64 {
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
