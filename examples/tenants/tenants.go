package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
)

// tenants are the databases of a process, one for each name.
type tenants struct {
	replicas string        // URL with {tenant} in it
	cache    int64         // bytes, for all of them together
	idle     time.Duration // after which a connection is closed, and with its last one the replica

	mu    sync.Mutex
	pools map[string]*sql.DB // guarded by mu
}

// errUnknown: there is no such tenant.
var errUnknown = errors.New("no such tenant")

// names is what a tenant may be called: it becomes part of a URL and of keys.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ask runs f on the database of a tenant.
func (t *tenants) ask(ctx context.Context, name string, f func(*sql.DB) error) error {
	if !names.MatchString(name) {
		return errUnknown
	}
	db, err := t.pool(name)
	if err != nil {
		return err
	}
	err = f(db)
	if errors.Is(err, index.ErrNoReplica) {
		return errors.Join(errUnknown, t.forget(name)) // or made-up names would fill the memory
	}
	return err
}

// pool returns the tenant's pool, and makes it when this is the first time. That asks nothing of the store.
func (t *tenants) pool(name string) (*sql.DB, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if db, ok := t.pools[name]; ok {
		return db, nil
	}
	db, err := litefss3.OpenDB(litefss3.Config{
		ReplicaURL: strings.ReplaceAll(t.replicas, "{tenant}", name), ReadOnly: true, CacheSize: t.cache,
	})
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", name, err)
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(t.idle)
	t.pools[name] = db
	return db, nil
}

// forget closes a tenant's pool.
func (t *tenants) forget(name string) error {
	t.mu.Lock()
	db, ok := t.pools[name]
	delete(t.pools, name)
	t.mu.Unlock()
	if !ok {
		return nil
	}
	return db.Close()
}

// close closes all of them.
func (t *tenants) close() (err error) {
	t.mu.Lock()
	pools := t.pools
	t.pools = map[string]*sql.DB{}
	t.mu.Unlock()
	for _, db := range pools {
		err = errors.Join(err, db.Close())
	}
	return err
}

// known is how many tenants have been asked for.
func (t *tenants) known() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pools)
}
