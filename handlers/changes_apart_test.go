package handlers

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
)

// A table that is altered between the opening of the log and its whole read cannot be read
// at the moment behind which its changes begin. Read at a later one, changes would come
// over rows that have them: a log would have some twice, and a row whose key was changed,
// or that was deleted since, would be looked for in vain by a change that keeps its long value.
func TestAWholeReadIsOfTheMomentBehindWhichChangesBegin(t *testing.T) {
	s := newShop(t, quick())
	s.exec(`alter table orders add column body text`, `alter table orders alter column body set storage external`)
	s.connect()
	for n, o := range []command.SyncOptions{
		{}, {Reset: []string{"public.orders"}}, {SoftDelete: true}, {Changes: command.AppendChanges},
	} {
		s.exec(`delete from orders`, `insert into orders (id, note, body) select i, 'order ' || i, repeat('long ' || i, 2000) from generate_series(1, 20) i`)
		var once sync.Once
		s.w.seams.mu.Lock()
		s.w.seams.at = func(step string) {
			if step != "captured" {
				return
			}
			once.Do(func() {
				for _, text := range []string{
					`update orders set id = id + 1000 where id = 5`, `update orders set note = 'changed' where id = 6`, `insert into orders (id, note) values (900, 'new')`,
					fmt.Sprintf(`alter table orders add column c%d text`, n), `delete from orders where id = 6`, `update orders set note = 'later' where id = 7`,
				} {
					if _, err := s.db.Exec(text); err != nil {
						t.Errorf("%s: %v", text, err)
					}
				}
			})
		}
		s.w.seams.mu.Unlock()
		s.sync(o)
		done := last[*event.SyncCompleted](s.w)
		for _, table := range done.Tables {
			if table.Status != "completed" || strings.Contains(notesOf(table), "a moment of its own") {
				t.Errorf("%d: %s is %s: %s %v", n, table.Name, table.Status, table.Message, table.Notes)
			}
		}
		switch {
		case o.SoftDelete: // what its source has deleted stays, and cannot be compared
			continue
		case o.Changes != command.AppendChanges:
			s.wantVerified()
			continue
		}
		_, rows, err := s.w.lake.Preview(t.Context(), s.w.address, "public", "orders", 1000)
		s.w.check(err)
		times := map[string]int{}
		for _, row := range rows {
			times[fmt.Sprint(row[0])]++
		}
		if times["900"] != 1 {
			t.Errorf("the log has the insert of 900 %d times, in %v", times["900"], times)
		}
	}
	s.purge()
}
