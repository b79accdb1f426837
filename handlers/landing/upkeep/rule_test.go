package upkeep

import (
	"fmt"
	"slices"
	"testing"
)

// files makes files of so many MiB, of which so many percent of the rows are
// deleted.
func files(sizes ...[2]int) (all []File) {
	for i, s := range sizes {
		all = append(all, File{Name: fmt.Sprint(i), Rows: 1000, Gone: int64(s[1]) * 10, Size: int64(s[0]) << 20})
	}
	return all
}

func times(n int, size [2]int) (all [][2]int) { return slices.Repeat([][2]int{size}, n) }

func TestGroups(t *testing.T) {
	for name, c := range map[string]struct {
		rule  Rule
		files []File
		want  string // the files of each group
	}{
		"nothing":                      {Asked, nil, "[]"},
		"one":                          {Asked, files([2]int{1, 0}), "[]"},
		"few":                          {ByItself, files(times(7, [2]int{1, 0})...), "[]"},
		"of a refresh":                 {Replaced, files(times(40, [2]int{5, 0})...), "[]"},
		"of a refresh, tiny":           {Replaced, files(times(8, [2]int{1, 0})...), "[[0 1 2 3 4 5 6 7]]"},
		"of a refresh, asked for":      {Asked, files(times(4, [2]int{5, 0})...), "[[0 1 2 3]]"},
		"of a refresh, merged into":    {Replaced, files([2]int{20, 0}, [2]int{20, 7}), "[[1]]"},
		"few, asked for":               {Asked, files(times(3, [2]int{1, 0})...), "[[0 1 2]]"},
		"many":                         {ByItself, files(times(8, [2]int{1, 0})...), "[[0 1 2 3 4 5 6 7]]"},
		"large ones":                   {Asked, files(times(3, [2]int{90, 0})...), "[]"},
		"a large one between":          {Asked, files([2]int{1, 0}, [2]int{1, 0}, [2]int{90, 0}, [2]int{1, 0}, [2]int{1, 0}), "[[0 1] [3 4]]"},
		"no more than a full one":      {Asked, files(times(10, [2]int{20, 0})...), "[[0 1 2 3] [4 5 6 7] [8 9]]"},
		"a large one with few deleted": {ByItself, files([2]int{90, 5}, [2]int{1, 0}), "[]"},
		"with many":                    {ByItself, files([2]int{90, 20}, [2]int{90, 0}, [2]int{90, 50}), "[[0] [2]]"},
		"any, asked for":               {Asked, files([2]int{90, 1}, [2]int{90, 0}), "[[0]]"},
		"one that is too large":        {Asked, files([2]int{500, 50}, [2]int{1, 0}, [2]int{1, 0}), "[[0] [1 2]]"},
		"with many among small ones":   {ByItself, files([2]int{1, 0}, [2]int{1, 30}, [2]int{1, 0}), "[[0 1 2]]"},
		"two with deleted rows":        {ByItself, files([2]int{1, 0}, [2]int{1, 1}), "[[0 1]]"},
		"not again for little":         {ByItself, files(append([][2]int{{23, 0}, {6, 0}}, times(8, [2]int{0, 0})...)...), "[[2 3 4 5 6 7 8 9]]"},
		"again for as much":            {ByItself, files(append([][2]int{{23, 0}}, times(8, [2]int{1, 0})...)...), "[[0 1 2 3 4 5 6 7 8]]"},
	} {
		t.Run(name, func(t *testing.T) {
			got := [][]string{}
			for _, g := range c.rule.Groups(c.files) {
				var names []string
				for _, f := range g {
					names = append(names, f.Name)
				}
				got = append(got, names)
			}
			if text := fmt.Sprint(got); text != c.want {
				t.Errorf("groups are %s, want %s", text, c.want)
			}
		})
	}
}

// A look is worth it only where Groups would find something.
func TestDue(t *testing.T) {
	for name, c := range map[string]struct {
		rule   Rule
		totals Totals
		want   bool
	}{
		"few files":                    {ByItself, Totals{Files: 7, Rows: 1, Size: 7 << 20}, false},
		"many small ones":              {ByItself, Totals{Files: 8, Rows: 1, Size: 8 << 20}, true},
		"many large ones":              {ByItself, Totals{Files: 40, Rows: 1, Size: 40 * Full}, false},
		"ranges of a refresh":          {Replaced, Totals{Files: 64, Rows: 1, Size: 64 * 5 << 20}, false},
		"tiny ranges of a refresh":     {Replaced, Totals{Files: 64, Rows: 1, Size: 64 << 20}, true},
		"a refresh that was merged to": {Replaced, Totals{Files: 3, Rows: 100, Gone: 7, Size: 64 << 20}, true},
	} {
		if got := c.rule.Due(c.totals); got != c.want {
			t.Errorf("%s: due is %v", name, got)
		}
	}
}

// However often a table is appended to and maintained, its files stay few, and a
// byte is written anew few times.
func TestAppendsAreWrittenAnewFewTimes(t *testing.T) {
	var standing []File
	most, anew, brought := 0, int64(0), int64(0)
	for i := range 5000 {
		standing = append(standing, File{Name: fmt.Sprint(i), Rows: 100, Size: 40 << 10})
		brought += 40 << 10
		if ByItself.Due(Totals{Files: len(standing), Rows: 1, Size: brought}) {
			for _, group := range ByItself.Groups(standing) {
				at := slices.IndexFunc(standing, func(f File) bool { return f.Name == group[0].Name })
				one := File{Name: fmt.Sprint("u", i, group[0].Name), Rows: 100, Size: sizeOf(group)}
				anew += one.Size
				standing = slices.Replace(standing, at, at+len(group), one)
			}
		}
		most = max(most, len(standing)-2*int(brought/Full))
	}
	if most > 24 || anew > 8*brought {
		t.Errorf("at most %d files, each byte written anew %.1f times", most, float64(anew)/float64(brought))
	}
}
