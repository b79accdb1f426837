package servers

import (
	"database/sql"
	"net"
	"syscall"
	"testing"
)

func TestServersAnswerAndStop(t *testing.T) {
	for name, c := range map[string]struct {
		start func(testing.TB) *Server
		open  func(*Server) (*sql.DB, error)
	}{
		"postgres": {Postgres, (*Server).OpenPostgres},
		"mariadb":  {MariaDB, (*Server).OpenMariaDB},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.start(t)
			db, err := c.open(s)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var one int
			if err := db.QueryRowContext(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
				t.Fatalf("SELECT 1 = %d, %v", one, err)
			}
			pid := s.cmd.Process.Pid
			for range 2 {
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
				t.Errorf("process %d is still there: %v", pid, err)
			}
			if conn, err := net.Dial("tcp", s.Address()); err == nil {
				conn.Close()
				t.Errorf("%s still answers", s.Address())
			}
		})
	}
}
