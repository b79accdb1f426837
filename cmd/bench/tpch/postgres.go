package tpch

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
)

// Load makes the table in PostgreSQL and fills it. It returns how many rows it has.
func (t Table) Load(ctx context.Context, conn *pgconn.PgConn, scale float64) (rows int64, err error) {
	if err := conn.Exec(ctx, t.Create()).Close(); err != nil {
		return 0, fmt.Errorf("make %s: %w", t.Name, err)
	}
	out, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		n, err := t.Write(in, scale)
		rows = n
		in.CloseWithError(err)
		written <- err
	}()
	_, err = conn.CopyFrom(ctx, out, "copy "+t.Name+" from stdin")
	_ = out.Close() // ends the writer if the server has given up
	if werr := <-written; err == nil {
		err = werr
	}
	if err != nil {
		return 0, fmt.Errorf("fill %s: %w", t.Name, err)
	}
	return rows, nil
}

// Stored returns the sums of what PostgreSQL has of the table.
func (t Table) Stored(ctx context.Context, conn *pgconn.PgConn) (Sums, error) {
	out, in := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		_, err := conn.CopyTo(ctx, in, "copy "+t.Name+" to stdout")
		in.CloseWithError(err)
		copied <- err
	}()
	sums, err := t.Text(out)
	_ = out.Close()
	if err := errors.Join(err, <-copied); err != nil {
		return sums, fmt.Errorf("read %s: %w", t.Name, err)
	}
	return sums, nil
}
