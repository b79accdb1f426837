package handlers

import (
	"strconv"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

// verify compares the source and returns what was found, by table.
func (s *served) verify(tables ...string) map[string]event.Verification {
	s.t.Helper()
	op := s.do(&command.VerifySource{Meta: s.operation(event.KindVerify), Tables: tables})
	found := map[string]event.Verification{}
	if len(op.Targets) != 1 || op.Targets[0].Result == nil {
		s.t.Fatalf("the verification ended as %+v", op.Targets)
	}
	for _, v := range op.Targets[0].Result.Verified {
		found[v.Name] = event.Verification(v)
	}
	return found
}

func TestVerify(t *testing.T) {
	for server, open := range map[string]func(*testing.T) func(*testing.T, Options) *served{"postgresql": postgresShop, "mariadb": mariaShop} {
		t.Run(server, func(t *testing.T) {
			s := open(t)(t, Options{})
			s.exec("CREATE TABLE keyed (id int PRIMARY KEY, version int NOT NULL, note varchar(20), price decimal(8,2))",
				"CREATE TABLE loose (note varchar(20), price double precision)", "CREATE TABLE fresh (id int PRIMARY KEY)")
			for i := range 500 {
				s.exec(strings.ReplaceAll("INSERT INTO keyed VALUES (#, #, 'n#', 1.50)", "#", strconv.Itoa(i)))
			}
			s.exec("INSERT INTO loose VALUES ('a', 0.5), ('a', 0.5), (NULL, NULL)")
			s.open()
			merge := command.SyncOptions{Mode: landing.Incremental, Merge: true, CursorField: map[string]string{"keyed": "version"}, Tables: []string{"keyed", "loose"}}
			s.sync(merge)
			want := func(found map[string]event.Verification, name, status string, behind, missing, changed, surplus int64, words ...string) {
				t.Helper()
				v := found[name]
				if v.Status != status || v.Behind != behind || v.Missing != missing || v.Changed != changed || v.Surplus != surplus {
					t.Errorf("%s is %s: %d behind, %d missing, %d changed, %d surplus (%s); want %s, %d, %d, %d, %d",
						name, v.Status, v.Behind, v.Missing, v.Changed, v.Surplus, v.Message, status, behind, missing, changed, surplus)
				}
				if through := v.VerifiedThrough != nil; through != (status == event.VerifiedEqual || status == event.VerifiedBehind) {
					t.Errorf("%s is %s and verified through %v", name, status, v.VerifiedThrough)
				}
				for _, word := range words {
					if all := v.Message + " " + rowsOf(v); !strings.Contains(all, word) {
						t.Errorf("%s: %q does not say %q", name, all, word)
					}
				}
			}
			found := s.verify()
			want(found, "keyed", event.VerifiedEqual, 0, 0, 0, 0)
			want(found, "loose", event.VerifiedEqual, 0, 0, 0, 0)
			want(found, "fresh", event.Unverified, 0, 0, 0, 0, "nothing of the table has landed")

			// What changes with its cursor is behind; what changes without, is not.
			s.exec("UPDATE keyed SET version = 1000, note = 'late' WHERE id IN (1, 2, 3)", "INSERT INTO keyed VALUES (5000, 1001, 'new', 2)")
			want(s.verify("keyed"), "keyed", event.VerifiedBehind, 4, 0, 0, 0)
			s.exec("UPDATE keyed SET price = 9.99 WHERE id = 7", "DELETE FROM keyed WHERE id = 8", "INSERT INTO keyed VALUES (9000, 5, 'early', 2)",
				"DELETE FROM loose WHERE note IS NULL", "INSERT INTO loose VALUES ('b', 1)")
			found = s.verify()
			want(found, "keyed", event.VerifiedDifferent, 4, 1, 1, 1, "changed id=7", "surplus id=8", "missing id=9000")
			want(found, "loose", event.VerifiedDifferent, 0, 1, 0, 1, "note=b", "note=NULL")

			s.sync(command.SyncOptions{Tables: []string{"keyed", "loose"}})
			found = s.verify("keyed", "loose")
			want(found, "keyed", event.VerifiedEqual, 0, 0, 0, 0)
			want(found, "loose", event.VerifiedEqual, 0, 0, 0, 0)
		})
	}
}

func rowsOf(v event.Verification) string {
	var all []string
	for _, r := range v.Rows {
		all = append(all, r.What+" "+r.Key)
	}
	return strings.Join(all, "; ")
}
