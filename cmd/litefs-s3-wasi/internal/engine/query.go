package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/vfs"
)

const (
	// batchBytes and batchTime are when a batch of rows is handed over: rows stream, and do not cost a call each.
	batchBytes = 64 << 10
	batchTime  = 50 * time.Millisecond
	// lookEvery is how many rows go by between two looks at the clock.
	lookEvery = 64
)

// Query is a statement that runs. It has a connection of its own.
type Query struct {
	conn *sqlite3.Conn
	stmt *sqlite3.Stmt

	columns int
	end     bool
	err     error // of the step after the rows of the last batch
}

// Query begins a statement. ctx is the interrupt of all its steps. After an error nothing is open.
func (r *Replica) Query(ctx context.Context, sql string, args []wasiabi.Argument) (q *Query, err error) {
	if _, err := r.View(ctx); err != nil {
		return nil, err // SQLite would hide why
	}
	conn, err := guard.Open(ctx, r.uri, r.limits())
	if err != nil {
		return nil, err
	}
	q = &Query{conn: conn}
	if err := q.begin(ctx, sql, args); err != nil {
		err = q.explain(ctx, err)
		q.Close()
		return nil, err
	}
	return q, nil
}

// limits bound what SQLite may use. A value takes more than once its length on its way out.
func (r *Replica) limits() guard.Limits {
	return guard.Limits{Memory: r.opts.Memory, Length: int(r.opts.Memory / 8)}
}

func (q *Query) begin(ctx context.Context, sql string, args []wasiabi.Argument) error {
	if err := q.conn.SetAuthorizer(guard.ReadOnly); err != nil {
		return err
	}
	q.conn.SetInterrupt(ctx)
	stmt, tail, err := guard.Prepare(q.conn, sql)
	switch {
	case err != nil:
		return err
	case stmt == nil:
		return fmt.Errorf("%w: there is no statement in the text", ErrUsage)
	}
	q.stmt, q.columns = stmt, stmt.ColumnCount()
	if err := q.nothingFollows(tail); err != nil {
		return err
	}
	return guard.Do(func() error { return q.bind(args) })
}

// nothingFollows refuses a second statement: its rows would have nowhere to go.
func (q *Query) nothingFollows(tail string) error {
	if strings.Trim(tail, "; \t\r\n") == "" {
		return nil
	}
	more, _, err := guard.Prepare(q.conn, tail)
	if more == nil && err == nil {
		return nil // a comment
	}
	if more != nil {
		guard.Finalize(more) //nolint:errcheck // it never ran
	}
	return fmt.Errorf("%w: one statement at a time; another one begins at %.40q", ErrUsage, strings.TrimSpace(tail))
}

// bind gives the parameters their values: by name, or in order.
func (q *Query) bind(args []wasiabi.Argument) error {
	bound, next := make([]bool, q.stmt.BindCount()), 0
	for _, a := range args {
		if a.Name == "" {
			next++
			if next > len(bound) {
				return fmt.Errorf("%w: %d values for the %d parameters of the statement", ErrUsage, len(args), len(bound))
			}
			bound[next-1] = true
			if err := bindValue(q.stmt, next, a.Value); err != nil {
				return err
			}
			continue
		}
		found := false
		for i := range bound {
			if q.nameOf(i+1) == a.Name {
				bound[i], found = true, true
				if err := bindValue(q.stmt, i+1, a.Value); err != nil {
					return err
				}
			}
		}
		if !found {
			return fmt.Errorf("%w: the statement has no parameter %q", ErrUsage, a.Name)
		}
	}
	if i := slices.Index(bound, false); i >= 0 {
		return fmt.Errorf("%w: parameter %d %s has no value", ErrUsage, i+1, q.stmt.BindName(i+1))
	}
	return nil
}

// nameOf is the name of a parameter without its sign; that of one without a name is its number.
func (q *Query) nameOf(i int) string {
	return cmp.Or(strings.TrimLeft(q.stmt.BindName(i), ":@$?"), strconv.Itoa(i))
}

func bindValue(stmt *sqlite3.Stmt, i int, value any) error {
	switch v := value.(type) {
	case int64:
		return stmt.BindInt64(i, v)
	case float64:
		return stmt.BindFloat(i, v)
	case string:
		return stmt.BindText(i, v)
	case []byte:
		return stmt.BindBlob(i, v)
	}
	return stmt.BindNull(i)
}

// Columns are the names of the result's columns.
func (q *Query) Columns() []string {
	names := make([]string, q.columns)
	for i := range names {
		names[i] = q.stmt.ColumnName(i)
	}
	return names
}

// Next appends the next rows to batch, as docs/wasi-abi.md describes them, and says how many those are and whether they are the last.
// Rows that came before an error are handed over first.
func (q *Query) Next(ctx context.Context, batch []byte) (_ []byte, rows uint32, end bool, err error) {
	began, size := time.Now(), len(batch)
	for q.err == nil && !q.end {
		var row bool
		if row, q.err = guard.Step(q.stmt); !row {
			q.end = q.err == nil
			break
		}
		before := batch
		q.err = guard.Do(func() error { batch = q.appendRow(batch); return nil })
		if q.err != nil {
			batch = before
			break
		}
		rows++
		if len(batch)-size >= batchBytes || rows%lookEvery == 0 && time.Since(began) > batchTime {
			break
		}
	}
	if q.err != nil && rows == 0 {
		return batch, 0, true, q.explain(ctx, q.err)
	}
	return batch, rows, q.end, nil
}

func (q *Query) appendRow(b []byte) []byte {
	for i := range q.columns {
		switch q.stmt.ColumnType(i) {
		case sqlite3.INTEGER:
			b, _ = wasiabi.AppendValue(b, q.stmt.ColumnInt64(i))
		case sqlite3.FLOAT:
			b, _ = wasiabi.AppendValue(b, q.stmt.ColumnFloat(i))
		case sqlite3.TEXT:
			b = wasiabi.AppendText(b, q.stmt.ColumnRawText(i))
		case sqlite3.BLOB:
			b = wasiabi.AppendBlob(b, q.stmt.ColumnRawBlob(i))
		default:
			b, _ = wasiabi.AppendValue(b, nil)
		}
	}
	return b
}

// explain puts the cause of a failed read in the place of SQLite's code for it.
func (q *Query) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, context.Cause(ctx))
	}
	if cause, ok := vfs.Cause(q.conn, "main"); ok && cause != nil && isIO(err) {
		return cause
	}
	return err
}

// Close ends the statement, wherever it is.
func (q *Query) Close() error { return guard.Close(q.conn) }
