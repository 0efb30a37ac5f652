package sqlrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

// Run runs every statement in sql, one after another, and writes the rows of each that has columns. It stops at the first error.
func (c *Conn) Run(ctx context.Context, sql string, params Params, out Writer) error {
	old := c.db.SetInterrupt(ctx)
	defer c.db.SetInterrupt(old)
	used := map[string]bool{}
	for rest := sql; rest != ""; {
		stmt, tail, err := guard.Prepare(c.db, rest)
		if err != nil {
			return c.explain(ctx, c.locate(rest, err))
		}
		if stmt == nil { // a comment
			break
		}
		err = c.runOne(stmt, params, used, out)
		if err = errors.Join(err, finish(stmt, err)); err != nil {
			return c.explain(ctx, err)
		}
		rest = tail
	}
	return params.unused(used)
}

// finish closes a statement. After a failed step its error is the same once more.
func finish(stmt *sqlite3.Stmt, stepErr error) error {
	err := guard.Finalize(stmt)
	if stepErr != nil {
		return nil
	}
	return err
}

func (c *Conn) runOne(stmt *sqlite3.Stmt, params Params, used map[string]bool, out Writer) error {
	if err := params.bind(stmt, used); err != nil {
		return err
	}
	n := stmt.ColumnCount()
	columns := make([]string, n)
	for i := range columns {
		columns[i] = stmt.ColumnName(i)
	}
	if n > 0 {
		if err := out.Begin(columns); err != nil {
			return err
		}
	}
	row := make([]Value, n)
	for {
		more, err := guard.Step(stmt)
		if more {
			err = guard.Do(func() error {
				for i := range row {
					row[i] = valueOf(stmt, i)
				}
				return nil
			})
		}
		switch {
		case err != nil:
			return errors.Join(err, flush(out, n))
		case !more && n == 0:
			return nil
		case !more:
			return out.End()
		case n > 0:
			if err := out.Row(row); err != nil {
				return err
			}
		}
	}
}

// flush writes the rows that came before an error.
func flush(out Writer, columns int) error {
	if columns == 0 {
		return nil
	}
	return out.Abort()
}

// SyntaxError is an error in the text of a statement, and where in it.
type SyntaxError struct {
	Err  error
	Line string // of the statement
	At   int    // characters before the place
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%v\n  %s\n  %s^", e.Err, e.Line, strings.Repeat(" ", e.At))
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// locate finds the line of sql that an error of preparing it is about, and adds the nearest table when one was not found.
func (c *Conn) locate(sql string, err error) error {
	err = c.suggest(err)
	var e *sqlite3.Error
	if !errors.As(err, &e) || e.SQL() == "" || !strings.HasSuffix(sql, e.SQL()) {
		return err
	}
	before := sql[:len(sql)-len(e.SQL())]
	start := strings.LastIndexByte(before, '\n') + 1
	line, _, _ := strings.Cut(sql[start:], "\n")
	const longest = 100
	at := len([]rune(render.Printable(before[start:])))
	shown := []rune(render.Printable(line))
	if at > longest*3/4 {
		skip := at - longest/2
		shown, at = append([]rune("…"), shown[skip+1:]...), at-skip
	}
	return &SyntaxError{Err: err, Line: string(shown[:min(len(shown), longest)]), At: at}
}

func (c *Conn) suggest(err error) error {
	_, name, found := strings.Cut(err.Error(), "no such table: ")
	if !found {
		return err
	}
	tables, _ := c.Strings(context.Background(), "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
	return fmt.Errorf("%w%s", err, nearest.Hint(name, tables))
}

// Strings returns the first column of the rows of a query.
func (c *Conn) Strings(ctx context.Context, sql string, params ...string) ([]string, error) {
	var all collector
	bound := Params{}
	for i, p := range params {
		bound[fmt.Sprint(i+1)] = Value{Kind: Text, Bytes: []byte(p)}
	}
	if err := c.Run(ctx, sql, bound, &all); err != nil {
		return nil, err
	}
	return all.first, nil
}

// collector keeps the first column.
type collector struct{ first []string }

func (c *collector) Begin([]string) error { return nil }
func (c *collector) Row(row []Value) error {
	c.first = append(c.first, row[0].Text())
	return nil
}
func (c *collector) End() error   { return nil }
func (c *collector) Abort() error { return nil }

// ErrParam: a statement has a parameter that no value was given for.
var ErrParam = errors.New("the parameter has no value")

// Params are values for the parameters of statements, by name without its sign (:id, @id, $id) or by number.
type Params map[string]Value

// ParseParam reads name=value. What is written as a number is bound as one.
func ParseParam(text string) (name string, value Value, err error) {
	name, raw, ok := strings.Cut(text, "=")
	name = strings.TrimLeft(name, ":@$?")
	if !ok || name == "" {
		return "", Value{}, errors.New("a parameter looks like name=value")
	}
	return name, parseValue(raw), nil
}

func (p Params) bind(stmt *sqlite3.Stmt, used map[string]bool) error {
	for i := 1; i <= stmt.BindCount(); i++ {
		name := strings.TrimLeft(stmt.BindName(i), ":@$?")
		if name == "" {
			name = fmt.Sprint(i)
		}
		value, ok := p[name]
		if !ok {
			return fmt.Errorf("%s: %w", cmp.Or(stmt.BindName(i), fmt.Sprintf("?%d", i)), ErrParam)
		}
		used[name] = true
		if err := value.bind(stmt, i); err != nil {
			return err
		}
	}
	return nil
}

// unused reports values that no statement asked for: most likely a name was mistyped.
func (p Params) unused(used map[string]bool) error {
	var names []string
	for name := range p {
		if !used[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	known := make([]string, 0, len(used))
	for name := range used {
		known = append(known, name)
	}
	slices.Sort(known)
	return fmt.Errorf("no statement has a parameter %q%s", names[0], nearest.Hint(names[0], known))
}
