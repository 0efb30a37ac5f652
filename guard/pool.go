package guard

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/ncruces/go-sqlite3"
	sqlite "github.com/ncruces/go-sqlite3/driver"
)

// Connector is c for SQL from others, below database/sql: its connections are within limits, and a statement that runs out of memory is
// an [ErrMemory], after which the pool opens another connection.
//
//	c, err := new(driver.SQLite).OpenConnector("file:app.db?vfs=litefs-s3&mode=ro")
//	db := sql.OpenDB(guard.Connector(c, guard.Limits{}, guard.ReadOnly))
//
// authorizer is asked about each statement, see [ReadOnly]; nil allows everything.
func Connector(c driver.Connector, l Limits, authorizer Authorizer) driver.Connector {
	return &connector{c, l.withDefaults(), authorizer}
}

// Authorizer is what [sqlite3.Conn.SetAuthorizer] takes.
type Authorizer func(action sqlite3.AuthorizerActionCode, first, second, schema, inner string) sqlite3.AuthorizerReturnCode

type connector struct {
	driver.Connector
	limits     Limits
	authorizer Authorizer
}

// errDriver: the connector is not that of go-sqlite3.
var errDriver = errors.New("guard: the connections are not those of github.com/ncruces/go-sqlite3/driver")

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var inner driver.Conn
	err := Do(func() (err error) {
		inner, err = c.Connector.Connect(sqlite3.WithMaxMemory(ctx, c.limits.Memory))
		return err
	})
	if err != nil {
		return nil, err
	}
	own, ok := inner.(sqliteConn)
	if !ok {
		return nil, errors.Join(errDriver, inner.Close())
	}
	c.limits.Apply(own.Raw())
	if c.authorizer != nil {
		if err := own.Raw().SetAuthorizer(c.authorizer); err != nil {
			return nil, errors.Join(err, own.Close())
		}
	}
	return &conn{sqliteConn: own}, nil
}

// Close closes what the connector has open, if it has something.
func (c *connector) Close() error {
	if closer, ok := c.Connector.(interface{ Close() error }); ok {
		return closer.Close()
	}
	return nil
}

// sqliteConn is a connection of the driver's.
type sqliteConn interface {
	sqlite.Conn
	driver.ExecerContext
	driver.NamedValueChecker
}

// conn is a connection whose panics about memory are errors.
type conn struct {
	sqliteConn
	spent bool // it has met the end of its memory
}

var _ driver.Validator = (*conn)(nil)

// do runs fn and remembers when it was too much.
func (c *conn) do(fn func() error) error {
	err := Do(fn)
	c.spent = c.spent || errors.Is(err, ErrMemory)
	return err
}

// IsValid is false when the pool had better open another connection: this one holds on to all its memory.
func (c *conn) IsValid() bool { return !c.spent }

func (c *conn) Close() error { return Close(c.Raw()) }

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	err = c.do(func() error {
		tx, err = c.sqliteConn.BeginTx(ctx, opts)
		return err
	})
	return tx, err
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Result, err error) {
	err = c.do(func() error {
		r, err = c.sqliteConn.ExecContext(ctx, query, args)
		return err
	})
	return r, err
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	var inner driver.Stmt
	err := c.do(func() (err error) {
		inner, err = c.sqliteConn.PrepareContext(ctx, query)
		return err
	})
	if err != nil {
		return nil, err
	}
	own, ok := inner.(sqliteStmt)
	if !ok {
		return nil, errors.Join(errDriver, inner.Close())
	}
	return &stmt{own, c}, nil
}

// sqliteStmt is a statement of the driver's.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	driver.NamedValueChecker
}

type stmt struct {
	sqliteStmt
	conn *conn
}

// Close closes the statement; one that has run out of memory says so once more, and is then closed.
func (s *stmt) Close() error {
	err := s.conn.do(s.sqliteStmt.Close)
	if errors.Is(err, ErrMemory) {
		err = s.conn.do(s.sqliteStmt.Close)
	}
	return err
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (r driver.Result, err error) {
	err = s.conn.do(func() error {
		r, err = s.sqliteStmt.ExecContext(ctx, args)
		return err
	})
	return r, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	var inner driver.Rows
	err := s.conn.do(func() (err error) {
		inner, err = s.sqliteStmt.QueryContext(ctx, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	own, ok := inner.(sqliteRows)
	if !ok {
		return nil, errors.Join(errDriver, inner.Close())
	}
	return &rows{own, s.conn}, nil
}

// sqliteRows are those of the driver.
type sqliteRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypeScanType
}

type rows struct {
	sqliteRows
	conn *conn
}

func (r *rows) Next(values []driver.Value) error {
	return r.conn.do(func() error { return r.sqliteRows.Next(values) })
}

// Close ends the result. That a statement has run out of memory was said by Next.
func (r *rows) Close() error {
	err := r.conn.do(r.sqliteRows.Close)
	if errors.Is(err, ErrMemory) {
		err = r.conn.do(r.sqliteRows.Close)
	}
	return err
}
