//go:build ignore

// Generate rewrites the sample data of `headwater demo` from its sources, which
// SOURCES.md names:
//
//	go run generate.go -tzdata DIR -datasets DIR
//
// -tzdata is the folder that holds zone1970.tab, iso3166.tab and leapseconds;
// -datasets is the data folder of the unpacked vega-datasets package. The same
// input gives the same files, byte for byte.
package main

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite"
)

func main() {
	tzdata := flag.String("tzdata", "", "folder with zone1970.tab, iso3166.tab and leapseconds")
	datasets := flag.String("datasets", "", "data folder of the vega-datasets package")
	flag.Parse()
	for _, step := range []func() error{
		func() error { return airports(filepath.Join(*datasets, "airports.csv")) },
		func() error { return earthquakes(filepath.Join(*datasets, "earthquakes.json")) },
		func() error { return timezones(*tzdata) },
	} {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// airports keeps the file as it is.
func airports(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile("airports.csv", body, 0o644)
}

// quake is one record of the demo's HTTP API. Nothing is invented or rounded:
// only the nesting of GeoJSON goes, and milliseconds become RFC 3339.
type quake struct {
	ID        string          `json:"id"`
	Time      string          `json:"time"`
	Updated   string          `json:"updated"`
	Magnitude json.Number     `json:"magnitude"`
	MagType   string          `json:"magnitude_type"`
	Place     string          `json:"place"`
	Longitude json.Number     `json:"longitude"`
	Latitude  json.Number     `json:"latitude"`
	DepthKM   json.Number     `json:"depth_km"`
	Felt      *int            `json:"felt"`
	Alert     *string         `json:"alert"`
	Tsunami   bool            `json:"tsunami"`
	Sig       int             `json:"significance"`
	Status    string          `json:"status"`
	Type      string          `json:"type"`
	Network   string          `json:"network"`
	Stations  *int            `json:"stations"`
	Gap       json.RawMessage `json:"azimuthal_gap"`
	RMS       json.RawMessage `json:"rms"`
	URL       string          `json:"url"`
}

func earthquakes(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var feed struct {
		Features []struct {
			ID         string `json:"id"`
			Properties struct {
				Mag           json.Number
				Place         string
				Time, Updated int64
				URL           string
				Felt          *int
				Alert         *string
				Status        string
				Tsunami       int
				Sig           int
				Net           string
				Nst           *int
				Gap, RMS      json.RawMessage
				MagType       string `json:"magType"`
				Type          string `json:"type"`
			} `json:"properties"`
			Geometry struct{ Coordinates [3]json.Number } `json:"geometry"`
		} `json:"features"`
	}
	if err := json.Unmarshal(body, &feed); err != nil {
		return err
	}
	quakes := make([]quake, 0, len(feed.Features))
	for _, f := range feed.Features {
		p, at := f.Properties, f.Geometry.Coordinates
		quakes = append(quakes, quake{
			ID: f.ID, Time: stamp(p.Time), Updated: stamp(p.Updated),
			Magnitude: p.Mag, MagType: p.MagType, Place: p.Place,
			Longitude: at[0], Latitude: at[1], DepthKM: at[2],
			Felt: p.Felt, Alert: p.Alert, Tsunami: p.Tsunami == 1, Sig: p.Sig, Status: p.Status,
			Type: p.Type, Network: p.Net, Stations: p.Nst, Gap: p.Gap, RMS: p.RMS, URL: p.URL,
		})
	}
	sort.Slice(quakes, func(i, j int) bool {
		if quakes[i].Updated != quakes[j].Updated {
			return quakes[i].Updated < quakes[j].Updated
		}
		return quakes[i].ID < quakes[j].ID
	})
	var out strings.Builder
	for _, q := range quakes {
		line, err := json.Marshal(q)
		if err != nil {
			return err
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	return os.WriteFile("earthquakes.ndjson", []byte(out.String()), 0o644)
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00") }

const tables = `
CREATE TABLE countries (
	code TEXT NOT NULL PRIMARY KEY,  -- ISO 3166-1 alpha-2
	name TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE zones (
	id        INTEGER PRIMARY KEY,
	name      TEXT NOT NULL UNIQUE,  -- as in TZ=Europe/Zurich
	latitude  REAL NOT NULL,         -- degrees north, of the principal location
	longitude REAL NOT NULL,         -- degrees east
	comments  TEXT
);
CREATE TABLE zone_countries (
	zone_id      INTEGER NOT NULL REFERENCES zones (id),
	country_code TEXT NOT NULL REFERENCES countries (code),
	principal    BOOLEAN NOT NULL,   -- the country of the zone's principal location
	PRIMARY KEY (zone_id, country_code)
) WITHOUT ROWID;
CREATE TABLE leap_seconds (
	day        DATE NOT NULL PRIMARY KEY,  -- the leap second ends this UTC day
	correction INTEGER NOT NULL            -- seconds added
) WITHOUT ROWID;
CREATE VIEW country_zones AS
	SELECT c.code AS country_code, c.name AS country, count(*) AS zones
	FROM countries c JOIN zone_countries zc ON zc.country_code = c.code
	GROUP BY c.code, c.name;
`

func timezones(dir string) error {
	const name = "timezones.db"
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	db, err := sql.Open("sqlite", name+"?_pragma=foreign_keys(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(tables); err != nil {
		return err
	}
	err = rows(filepath.Join(dir, "iso3166.tab"), func(f []string) error {
		_, err := tx.Exec(`INSERT INTO countries VALUES (?, ?)`, f[0], f[1])
		return err
	})
	if err != nil {
		return err
	}
	id := 0
	err = rows(filepath.Join(dir, "zone1970.tab"), func(f []string) error {
		id++
		lat, lon, err := position(f[1])
		if err != nil {
			return err
		}
		var comments any
		if len(f) > 3 {
			comments = f[3]
		}
		if _, err := tx.Exec(`INSERT INTO zones VALUES (?, ?, ?, ?, ?)`, id, f[2], lat, lon, comments); err != nil {
			return err
		}
		for i, code := range strings.Split(f[0], ",") {
			if _, err := tx.Exec(`INSERT INTO zone_countries VALUES (?, ?, ?)`, id, code, i == 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = rows(filepath.Join(dir, "leapseconds"), func(f []string) error {
		day, err := time.Parse("2006 Jan 2", strings.Join(f[1:4], " "))
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO leap_seconds VALUES (?, ?)`, day.Format(time.DateOnly), map[string]int{"+": 1, "-": -1}[f[5]])
		return err
	})
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.Exec(`VACUUM`)
	return err
}

// rows calls do with the tab-separated fields of every line that is no comment.
func rows(path string, do func([]string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, "#") {
			if err := do(strings.Split(line, "\t")); err != nil {
				return fmt.Errorf("%s: %q: %w", path, line, err)
			}
		}
	}
	return lines.Err()
}

// position reads ISO 6709 ±DDMM±DDDMM or ±DDMMSS±DDDMMSS as degrees, to six
// decimals.
func position(text string) (lat, lon float64, err error) {
	split := strings.LastIndexAny(text, "+-")
	if split < 1 {
		return 0, 0, fmt.Errorf("%q is no position", text)
	}
	if lat, err = degrees(text[:split], 2); err != nil {
		return 0, 0, err
	}
	lon, err = degrees(text[split:], 3)
	return lat, lon, err
}

func degrees(text string, digits int) (float64, error) {
	total := 0.0
	for i, rest := 0, text[1:]; rest != ""; i, digits = i+1, 2 {
		n, err := strconv.Atoi(rest[:digits])
		if err != nil {
			return 0, err
		}
		total += float64(n) / math.Pow(60, float64(i))
		rest = rest[digits:]
	}
	if text[0] == '-' {
		total = -total
	}
	return math.Round(total*1e6) / 1e6, nil
}
