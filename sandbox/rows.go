package sandbox

import (
	"context"
	"fmt"
	"math"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
)

// Rows are the result of a statement, which runs as they are asked for. They are used by one goroutine at a time.
type Rows struct {
	sandbox  *Sandbox
	instance *instance       // nil after the statement has ended
	ctx      context.Context // of the statement: Rows are what it returns, as in database/sql

	columns []string
	batch   []byte
	left    uint32 // rows in batch
	end     bool   // no batch follows
	values  []any
	rows    int64
	bytes   int64
	err     error
}

// Columns are the names of the columns.
func (r *Rows) Columns() []string { return r.columns }

// Next goes to the next row. It is false after the last one, and after an error: see Err.
func (r *Rows) Next() bool {
	if r.err != nil {
		return false
	}
	for r.left == 0 {
		if r.end || r.instance == nil {
			r.finish(nil)
			return false
		}
		if err := r.more(); err != nil {
			r.finish(err)
			return false
		}
	}
	if err := r.row(); err != nil {
		r.finish(err)
		return false
	}
	return true
}

// more gets the next batch. It is copied out of the module's memory: that is the module's own, and the statement may end before its rows
// are read.
func (r *Rows) more() error {
	rows, batch, end, err := r.instance.next(r.ctx)
	if err != nil {
		return err
	}
	r.left, r.end = rows, end
	r.batch = append(r.batch[:0], batch...)
	if end {
		r.release()
	}
	return nil
}

// row takes a row off the batch.
func (r *Rows) row() (err error) {
	l := r.sandbox.opts.Limits
	if r.rows++; l.Rows >= 0 && r.rows > l.Rows {
		return ErrRows
	}
	before := len(r.batch)
	r.values = r.values[:0]
	for range r.columns {
		var value any
		if value, r.batch, err = wasiabi.CutValue(r.batch); err != nil {
			return err
		}
		r.values = append(r.values, value)
	}
	r.left--
	if r.bytes += int64(before - len(r.batch)); l.Bytes >= 0 && r.bytes > l.Bytes {
		return ErrBytes
	}
	return nil
}

// Values are those of the row: nil, int64, float64, string or []byte. The slice is valid until the next call of Next, the values are
// the caller's.
func (r *Rows) Values() []any { return r.values }

// Err is why there are no more rows; nil when all have been delivered.
func (r *Rows) Err() error { return r.err }

// Close ends the statement. It may be called twice.
func (r *Rows) Close() error {
	r.end, r.left = true, 0
	r.release()
	return nil
}

// finish ends the statement for a reason, or for none.
func (r *Rows) finish(err error) {
	r.err = err
	r.release()
}

// release gives the instance back.
func (r *Rows) release() {
	if i := r.instance; i != nil {
		r.instance = nil
		r.sandbox.give(i)
	}
}

// valueOf is an argument as one of SQLite's values.
func valueOf(arg any) (any, error) {
	switch v := arg.(type) {
	case nil, int64, float64, string, []byte:
		return v, nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
	case float32:
		return float64(v), nil
	}
	return nil, fmt.Errorf("%v of type %T: %w", arg, arg, errNoValue)
}
