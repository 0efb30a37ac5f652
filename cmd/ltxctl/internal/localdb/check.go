package localdb

import (
	"context"
	"errors"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// mostFaults is how many lines of PRAGMA integrity_check are kept.
const mostFaults = 20

// Check runs PRAGMA integrity_check on the database at path, which nobody may use meanwhile. Nothing is written, and nothing put
// beside it. The verdict is "ok", or what is wrong; a file that SQLite cannot read at all is a verdict too.
func Check(ctx context.Context, path string) (verdict string, err error) {
	conn, err := sqlite3.OpenContext(ctx, uri(path, "ro")+"&immutable=1")
	if err != nil {
		return damage(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	conn.SetInterrupt(ctx)
	defer conn.SetInterrupt(context.Background())
	lines, err := faults(conn)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return damage(err)
	}
	return strings.Join(lines, "; "), nil
}

func faults(conn *sqlite3.Conn) (lines []string, err error) {
	stmt, _, err := conn.Prepare("PRAGMA integrity_check(20)")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	for stmt.Step() && len(lines) < mostFaults {
		lines = append(lines, strings.ReplaceAll(stmt.ColumnText(0), "\n", ", "))
	}
	return lines, stmt.Err()
}

// damage turns an error that says that the file cannot be right into a verdict.
func damage(err error) (string, error) {
	if errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) {
		return strings.TrimPrefix(err.Error(), "sqlite3: "), nil
	}
	return "", err
}
