package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"headwater/cmd/bench/widetable"
	"headwater/handlers/landing/landingtest"
)

// Rows of the wide table in full size, and of the longer one that CSV is read from.
const (
	wideRows = 2_000_000
	csvRows  = 4_000_000
)

// File is a generated file and what its rows add up to.
type File struct {
	Path string
	Sums widetable.Sums
}

// generate returns a file of so many wide rows in the cache, made by write
// unless it is there from a run before.
func (b *Rig) generate(name string, rows int, header string, write func(*bufio.Writer, *widetable.Generator)) (File, error) {
	m := File{Path: filepath.Join(b.Cache, "files", fmt.Sprintf("%d", rows), name)}
	note := m.Path + ".sums"
	if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &m.Sums) == nil && m.Sums.Rows == int64(rows) {
		return m, nil
	}
	b.Say("generating %s, %d rows", name, rows)
	if err := os.MkdirAll(filepath.Dir(m.Path), 0o755); err != nil {
		return m, err
	}
	f, err := os.Create(m.Path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	out.WriteString(header)
	g, buffer := widetable.NewGenerator(), make([]byte, 0, 256)
	for range rows {
		g.Next()
		m.Sums.AddRow(g, buffer)
		write(out, g)
	}
	if err := errors.Join(out.Flush(), f.Close()); err != nil {
		return m, err
	}
	text, err := json.Marshal(m.Sums)
	if err != nil {
		return m, err
	}
	return m, os.WriteFile(note, text, 0o644)
}

// Tabbed is the wide table as both databases load it: tabs between values, \N
// for NULL.
func (b *Rig) Tabbed() (File, error) {
	return b.generate("wide.tsv", b.Rows(wideRows), "", func(out *bufio.Writer, g *widetable.Generator) {
		for i, value := range g.Values {
			if i > 0 {
				out.WriteByte('\t')
			}
			switch {
			case g.Null[i]:
				value = `\N`
			case widetable.Columns[i].Kind == widetable.YesNo:
				value = map[string]string{"true": "1", "false": "0"}[value]
			}
			out.WriteString(value)
		}
		out.WriteByte('\n')
	})
}

// Commas is the wide table as RFC 4180 has it, twice as long.
func (b *Rig) Commas() (File, error) {
	var header strings.Builder
	for i, c := range widetable.Columns {
		if i > 0 {
			header.WriteByte(',')
		}
		header.WriteString(c.Name)
	}
	return b.generate("big.csv", b.Rows(csvRows), header.String()+"\n", func(out *bufio.Writer, g *widetable.Generator) {
		for i, value := range g.Values {
			if i > 0 {
				out.WriteByte(',')
			}
			switch {
			case g.Null[i]:
				continue
			case widetable.Columns[i].Kind == widetable.Instant:
				value += "+00"
			case strings.ContainsAny(value, `",`):
				value = `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
			}
			out.WriteString(value)
		}
		out.WriteByte('\n')
	})
}

// Check reads what a sync landed and returns how it differs from what was generated.
func (b *Rig) Check(ctx context.Context, l Landed, want widetable.Sums) error {
	b.Say("comparing what landed with the source")
	var got widetable.Sums
	buffer := make([]byte, 0, 256)
	for rec, err := range landingtest.Rows(ctx, l.Location, l.SnapshotID) {
		if err != nil {
			return err
		}
		if err := got.AddBatch(rec, buffer); err != nil {
			return err
		}
	}
	return got.Compare(want)
}
