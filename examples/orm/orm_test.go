package main

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/examples/internal/world"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

func TestMain(m *testing.M) { world.Main(m, main) }

func TestShop(t *testing.T) {
	w := world.New(t)
	db, pool, err := open(t.Context(), litefss3.Config{ReplicaURL: w.URL("shop"), Write: true, BufferPath: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for range 2 { // the second time there is nothing to do
		if err := migrate(db); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []Product{{Name: "tea", Stock: 5}, {Name: "milk", Stock: 3}} {
		if err := db.Create(&p).Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Create(&Product{Name: "tea"}).Error; !errors.Is(err, sqlite3.CONSTRAINT_UNIQUE) {
		t.Errorf("a second tea: %v", err)
	}
	first, err := buy(db, "Ada", "tea", 2)
	if err != nil {
		t.Fatal(err)
	}
	sync(t, pool)
	then := time.Now().UTC()
	time.Sleep(20 * time.Millisecond)
	if _, err := buy(db, "Grace", "milk", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := buy(db, "Ada", "milk", 1); !errors.Is(err, errSoldOut) {
		t.Errorf("more milk than there is: %v", err)
	}
	if _, err := buy(db, "Ada", "beer", 1); !errors.Is(err, gorm.ErrRecordNotFound) {
		t.Errorf("beer: %v", err)
	}
	sync(t, pool)

	want := "Grace 3 milk (0 left), Ada 2 tea (3 left), "
	reader, readers, err := open(t.Context(), litefss3.Config{ReplicaURL: w.URL("shop"), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer readers.Close()
	if got := describe(t, reader); got != want {
		t.Errorf("a reader sees %s", got)
	}
	err = at(t.Context(), readers, then.Format(time.RFC3339Nano), func(past *gorm.DB) error {
		if got := describe(t, past); got != "Ada 2 tea (3 left), " {
			t.Errorf("at %s: %s", then, got)
		}
		orders, err := newest(past, 1)
		if err == nil && !orders[0].At.Equal(first.At) {
			t.Errorf("the first order is of %s, not %s", orders[0].At, first.At)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(t, reader); got != want {
		t.Errorf("after a look at the past a reader sees %s", got)
	}
	if _, err := buy(reader, "Eve", "tea", 1); !errors.Is(err, sqlite3.READONLY) {
		t.Errorf("a reader buys: %v", err)
	}
	checkRestored(t, w, want)
}

func sync(t *testing.T, pool *sql.DB) {
	t.Helper()
	if _, err := pool.ExecContext(t.Context(), "PRAGMA litestream_sync"); err != nil {
		t.Fatal(err)
	}
}

// describe is all that was bought.
func describe(t *testing.T, db *gorm.DB) (all string) {
	t.Helper()
	orders, err := newest(db, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orders {
		for _, l := range o.Lines {
			all += fmt.Sprintf("%s %d %s (%d left), ", o.Customer, l.Count, l.Product.Name, l.Product.Stock)
		}
	}
	return all
}

func checkRestored(t *testing.T, w *world.World, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	if err := servers.LitestreamRestore(t.Context(), w.S3, w.URL("shop"), path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	plain, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	db, err := on(plain)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(t, db); got != want {
		t.Errorf("restored by Litestream: %s", got)
	}
}

// The command itself: it buys one tea each time, and shows earlier orders.
func TestCommand(t *testing.T) {
	w := world.New(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // where the commit log lies
	first, second := "order 1: 1 tea for Ada\n", "order 2: 1 tea for Ada\n"
	if got := w.Run(t, nil, "-replica", w.URL("shop")).Wait(t); got != first {
		t.Errorf("it printed %q", got)
	}
	then := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(20 * time.Millisecond)
	if got := w.Run(t, nil, "-replica", w.URL("shop")).Wait(t); got != second+first {
		t.Errorf("the second time it printed %q", got)
	}
	if got := w.Run(t, nil, "-replica", w.URL("shop"), "-at", then).Wait(t); got != first {
		t.Errorf("at %s it printed %q", then, got)
	}
	if got := w.Run(t, nil, "-replica", w.URL("shop"), "-at", "latest").Wait(t); got != second+first {
		t.Errorf("now it printed %q", got)
	}
}
