package guard_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/guard"
)

// A pool for statements that others write: what asks for too much, or for more than to read, fails, and the program goes on. With a replica the
// URI is file:app.db?vfs=litefs-s3&mode=ro.
func ExampleConnector() {
	connector, err := new(driver.SQLite).OpenConnector("file::memory:")
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(guard.Connector(connector, guard.Limits{Memory: 32 << 20, Length: 20 << 20}, guard.ReadOnly))
	defer db.Close()

	var length int
	err = db.QueryRow("SELECT length(hex(zeroblob(9000000)) || hex(zeroblob(900000)))").Scan(&length)
	fmt.Println("too much memory:", errors.Is(err, guard.ErrMemory) || errors.Is(err, sqlite3.TOOBIG))

	_, err = db.Exec("ATTACH '/etc/passwd' AS p")
	fmt.Println("not allowed:", errors.Is(err, sqlite3.AUTH))

	if err := db.QueryRow("SELECT length('the next one')").Scan(&length); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the next one works:", length)
	// Output:
	// too much memory: true
	// not allowed: true
	// the next one works: 12
}
