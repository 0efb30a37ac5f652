package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
)

// Cursor is a statement that is under way. Next and Close may be called at once.
type Cursor struct {
	moment  *Moment
	conn    *connection
	stmt    *sqlite3.Stmt
	columns []string
	ctx     context.Context // of the statement
	cancel  context.CancelFunc
	turn    chan struct{} // holds a token while somebody uses the connection, and for good once it was given back
	done    bool          // there are no more rows; for whoever has the token
}

// Start prepares a statement and binds its parameters. Nothing runs before the first Next. ctx is that of the whole statement.
func (m *Moment) Start(ctx context.Context, sql string, p Params) (*Cursor, error) {
	conn, err := m.take(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cursor{moment: m, conn: conn, turn: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	conn.SetInterrupt(m.interruptible(c.ctx))
	if err := c.prepare(sql, p); err != nil {
		err = explain(c.ctx, conn, err)
		c.Close()
		return nil, err
	}
	m.mu.Lock()
	m.open[c] = struct{}{}
	m.mu.Unlock()
	return c, nil
}

func (m *Moment) interruptible(ctx context.Context) context.Context {
	if m.replica.opts.Interruptible == nil {
		return ctx
	}
	return m.replica.opts.Interruptible(ctx)
}

func (c *Cursor) prepare(sql string, p Params) error {
	var tail string
	err := guard.Do(func() (err error) {
		c.stmt, tail, err = c.conn.Prepare(sql)
		return err
	})
	switch {
	case errors.Is(err, guard.ErrMemory):
		c.conn.spent = true
		return err
	case err != nil:
		return err
	case c.stmt == nil:
		return fmt.Errorf("there is no statement in the SQL: %w", ErrArgument)
	case !blank(tail):
		return fmt.Errorf("there is more after the first statement: run one at a time: %w", ErrArgument)
	}
	for i := range c.stmt.ColumnCount() {
		c.columns = append(c.columns, c.stmt.ColumnName(i))
	}
	return p.bind(c.stmt)
}

// blank reports whether SQL holds nothing but space, semicolons and comments.
func blank(sql string) bool {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f;")
		var ok bool
		switch {
		case sql == "":
			return true
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			if _, sql, ok = strings.Cut(sql[2:], "*/"); !ok {
				return true // SQLite lets a comment end with the text
			}
		default:
			return false
		}
	}
}

// Columns are the names of the columns; none for a statement that returns no rows.
func (c *Cursor) Columns() []string { return c.columns }

// Next returns the rows that come next, packed, with their number in front in 4 bytes. It returns when there are about so many
// bytes, when so much time is over and there is a row, or at the end, which done tells. After an error the cursor is of no use but to be
// closed.
func (c *Cursor) Next(size int, patience time.Duration) (batch []byte, done bool, err error) {
	select {
	case c.turn <- struct{}{}:
	case <-c.ctx.Done():
		return nil, false, context.Cause(c.ctx)
	}
	defer func() { <-c.turn }()
	if c.done {
		return emptyBatch(), true, nil
	}
	err = guard.Do(func() error {
		batch, c.done = c.rows(size, patience)
		return c.stmt.Err()
	})
	c.conn.spent = c.conn.spent || errors.Is(err, guard.ErrMemory)
	if err != nil {
		return nil, false, explain(c.ctx, c.conn, err)
	}
	return batch, c.done, nil
}

// rows packs rows until there is a reason to stop. The statement knows whether it failed.
func (c *Cursor) rows(size int, patience time.Duration) (batch []byte, done bool) {
	began := time.Now()
	batch = emptyBatch()
	for n := uint32(1); ; n++ {
		if !c.stmt.Step() {
			return batch, true
		}
		batch = appendRow(batch, c.stmt)
		setCount(batch, n)
		if len(batch) >= size || time.Since(began) >= patience {
			return batch, false
		}
	}
}

// Close interrupts the statement and gives its connection back. Closing twice is no error.
func (c *Cursor) Close() {
	c.cancel()
	c.moment.mu.Lock()
	delete(c.moment.open, c)
	c.moment.mu.Unlock()
	c.turn <- struct{}{} // for good, unless the connection has been given back
	if c.conn == nil {
		<-c.turn
		return
	}
	conn := c.conn
	if c.stmt != nil && errors.Is(guard.Finalize(c.stmt), guard.ErrMemory) {
		c.conn.spent = true
	}
	c.conn, c.stmt, c.done = nil, nil, true
	<-c.turn
	conn.SetInterrupt(context.Background())
	c.moment.give(conn)
}
