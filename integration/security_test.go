package integration

import (
	"bytes"
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/docs/policies"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/sidecar"
	"github.com/litefs-s3/litefs-s3/verify"
)

// as makes a Config use the given credentials, whatever the environment says.
func as(s servers.S3, c litefss3.Config) litefss3.Config {
	c.S3 = func(cfg *s3store.Config) {
		cfg.AccessKeyID, cfg.SecretAccessKey, cfg.SessionToken = s.AccessKey, s.SecretKey, s.Token
	}
	return c
}

// openAs opens a database until the end of the test.
func openAs(t *testing.T, c litefss3.Config) *sql.DB {
	t.Helper()
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// reading is a Config of a follower.
func reading(url string) litefss3.Config {
	return litefss3.Config{ReplicaURL: url, PollInterval: 100 * time.Millisecond}
}

// TestSecurity_LeastPrivilege: each of the policies in docs/policies is enough for what it is for, and what it does not allow ends in an error that
// says so. All of them are held to one prefix of the bucket.
func TestSecurity_LeastPrivilege(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	url, elsewhere := minio.URL(bucket, "apps/shop"), minio.URL(bucket, "apps/other")
	role := func(policy string) servers.S3 {
		t.Helper()
		s, err := minio.AssumeRole(t.Context(), strings.NewReplacer("BUCKET", bucket, "PREFIX", "apps/shop").Replace(policy))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	reader, writer, compactor := role(policies.Reader), role(policies.Writer), role(policies.Compactor)

	c := as(writer, writerConfig(url, filepath.Join(t.TempDir(), "log")))
	c.Compaction = litefss3.CompactionOff
	db := openAs(t, c)
	execute(t, db, "CREATE TABLE t(x)")
	second := ""
	for i := range 5 {
		execute(t, db, "INSERT INTO t VALUES (hex(randomblob(5000)))", "PRAGMA litestream_sync")
		if i == 1 {
			if err := db.QueryRow("PRAGMA litestream_durable_txid").Scan(&second); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := openAs(t, as(reader, reading(url)))
	want := primary.Dump(t, db)
	if primary.Dump(t, r) != want {
		t.Error("the reader reads something else")
	}
	conn, err := r.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, conn, "PRAGMA litestream_txid = '"+second+"'")
	if n, err := count(conn, "t"); err != nil || n != 2 {
		t.Errorf("%d rows at txid %s, error %v", n, second, err)
	}
	conn.Close()
	checkedAndRestored(t, as(reader, litefss3.Config{ReplicaURL: url}))
	indexed(t, as(writer, litefss3.Config{ReplicaURL: url}))
	buildLtxctl(t).runWith(t, []string{"AWS_ACCESS_KEY_ID=" + writer.AccessKey, "AWS_SECRET_ACCESS_KEY=" + writer.SecretKey, "AWS_SESSION_TOKEN=" + writer.Token},
		0, "doctor", "--write", url)

	compacted(t, as(compactor, litefss3.Config{ReplicaURL: url}))
	execute(t, db, "INSERT INTO t VALUES ('after')", "PRAGMA litestream_sync")
	want = primary.Dump(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if primary.Dump(t, openAs(t, as(reader, litefss3.Config{ReplicaURL: url + "&concurrency=3"}))) != want {
		t.Error("a new reader reads something else after compaction")
	}

	for name, c := range map[string]litefss3.Config{
		"a reader that writes":          as(reader, writerConfig(url, filepath.Join(t.TempDir(), "log"))),
		"a reader of another prefix":    as(reader, litefss3.Config{ReplicaURL: elsewhere}),
		"a writer in another prefix":    as(writer, writerConfig(elsewhere, filepath.Join(t.TempDir(), "log"))),
		"a compactor in another prefix": as(compactor, litefss3.Config{ReplicaURL: elsewhere}),
	} {
		err := openAs(t, c).PingContext(t.Context())
		if !errors.Is(err, objstore.ErrAccess) || !strings.Contains(err.Error(), "apps/") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]servers.S3{"reader": reader, "writer": writer} {
		if err := s.Delete(t.Context(), bucket, "apps/shop/"+(&index.File{Min: 1, Max: 1}).Key()); err == nil {
			t.Errorf("the %s may delete transactions", name)
		}
	}
}

func count(conn *sql.Conn, table string) (n int, err error) {
	err = conn.QueryRowContext(context.Background(), "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

// checkedAndRestored reads every byte of a replica, and makes a file of it.
func checkedAndRestored(t *testing.T, c litefss3.Config) {
	t.Helper()
	store, _, err := litefss3.OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify.Run(t.Context(), store, verify.Options{}); r.Outcome != verify.Good {
		t.Errorf("verify: %v", r.Outcome)
	}
	tracker, err := index.Open(t.Context(), store, index.Options{PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "restored.db")
	if _, err := restore.File(t.Context(), bulk.Source{Store: store, Mover: tracker}, tracker.View(), path, restore.Options{}); err != nil {
		t.Error(err)
	}
}

// indexed writes a replica's sidecar.
func indexed(t *testing.T, c litefss3.Config) {
	t.Helper()
	store, _, err := litefss3.OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.Update(t.Context(), store, sidecar.Options{}); err != nil {
		t.Error(err)
	}
}

// compacted merges a replica and removes what was merged, as somebody does for whom much time has passed.
func compacted(t *testing.T, c litefss3.Config) {
	t.Helper()
	store, _, err := litefss3.OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{time.Minute, 48 * time.Hour} {
		k := newCompactor(t, store, later)
		if _, err := k.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := k.PlanSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSecurity_PrivateAuthority: a server with a certificate of an authority of one's own is believed by those who were told, and by nobody else.
func TestSecurity_PrivateAuthority(t *testing.T) {
	t.Parallel()
	minio, ca := servers.NewTLSMinIO(t)
	bucket := minio.Bucket(t)
	plain := minio.URL(bucket, "apps/tls")
	told := plain + "&ca-file=" + url.QueryEscape(ca)
	writeAndRead(t, minio.S3, told, told)
	err := openAs(t, as(minio.S3, litefss3.Config{ReplicaURL: plain, OpenTimeout: 5 * time.Second})).PingContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}

	// A key of the customer's: without it nothing can be read.
	key := []byte("0123456789abcdef0123456789abcdef")
	sum := md5.Sum(key)
	secret := base64.StdEncoding.EncodeToString(key)
	own := minio.URL(bucket, "apps/own-key") + "&ca-file=" + url.QueryEscape(ca)
	with := own + "&sse-customer-algorithm=AES256&sse-customer-key=" + url.QueryEscape(secret) +
		"&sse-customer-key-md5=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sum[:]))
	writeAndRead(t, minio.S3, with, with)
	if _, err := minio.Get(t.Context(), bucket, "apps/own-key/"+(&index.File{Min: 1, Max: 1}).Key()); err == nil {
		t.Error("an object can be read without the customer's key")
	}
	err = openAs(t, as(minio.S3, litefss3.Config{ReplicaURL: own, OpenTimeout: 5 * time.Second})).PingContext(t.Context())
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("without the customer's key: %v", err)
	}

	// A key of the service's: the server encrypts and decrypts.
	service := minio.URL(bucket, "apps/service-key") + "&ca-file=" + url.QueryEscape(ca)
	writeAndRead(t, minio.S3, service+"&sse-kms-key-id="+servers.KMSKey, service)
	for prefix, clear := range map[string]bool{"tls": true, "own-key": false, "service-key": false} {
		stored, err := minio.Stored(bucket, "apps/"+prefix)
		if err != nil || strings.Contains(string(stored), "CREATE TABLE t") != clear {
			t.Errorf("apps/%s: on the server's disk in clear: %v, error %v", prefix, !clear, err)
		}
	}
}

// writeAndRead makes a replica through one URL, in files small and large, and reads it through another one.
func writeAndRead(t *testing.T, s servers.S3, write, read string) {
	t.Helper()
	db := openAs(t, as(s, writerConfig(write, filepath.Join(t.TempDir(), "log"))))
	execute(t, db, "CREATE TABLE t(x)", "INSERT INTO t VALUES (1)", "PRAGMA litestream_sync", "INSERT INTO t VALUES (hex(randomblob(4000000)))")
	want := primary.Dump(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if primary.Dump(t, openAs(t, as(s, litefss3.Config{ReplicaURL: read}))) != want {
		t.Errorf("%s reads as something else", read)
	}
}

// said collects what is printed by all that it is given to.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// TestSecurity_NoSecrets plants credentials, makes everything go well and then wrong, and looks through all that was said: logs of all levels,
// errors, pragmas, states, and files left on the disk. Files are for their owner alone.
func TestSecurity_NoSecrets(t *testing.T) {
	t.Parallel()
	minio := servers.NewMinIO(t, "")
	bucket := minio.Bucket(t)
	role, err := minio.AssumeRole(t.Context(), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	var all said
	dir := t.TempDir()
	c := as(role, writerConfig(minio.URL(bucket, "apps/secret"), filepath.Join(dir, "log")))
	c.Logger = slog.New(slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Hydration.Path = filepath.Join(dir, "copy.db")
	c.CloseTimeout, c.OpenTimeout = 2*time.Second, 2*time.Second
	hear := func(err error) {
		if err != nil {
			fmt.Fprintf(&all, "%v\n%+v\n%#v\n", err, err, err)
		}
	}
	try := func(c litefss3.Config, statements ...string) {
		db, err := litefss3.OpenDB(c)
		if err != nil {
			hear(err)
			return
		}
		db.SetMaxOpenConns(1)
		for _, q := range statements {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			var text string
			err := db.QueryRowContext(ctx, q).Scan(&text)
			fmt.Fprintln(&all, text)
			hear(err)
			if conn, err := db.Conn(ctx); err == nil {
				hear(litefss3.Cause(conn, "main"))
				conn.Close()
			} else {
				hear(err)
			}
			cancel()
		}
		hear(db.Close())
		fmt.Fprintf(&all, "%v\n%+v\n", c, c)
	}
	statements := []string{"CREATE TABLE IF NOT EXISTS t(x)", "INSERT INTO t VALUES (1)", "PRAGMA litestream_sync", "PRAGMA litestream_status", "SELECT * FROM t",
		"PRAGMA litestream_hydrate = 'wait'", "PRAGMA litestream_time = 'yesterday'", "PRAGMA litestream_lease", "SELECT * FROM nowhere"}
	try(c, statements...)
	wrong := role
	wrong.SecretKey += "x"
	try(as(wrong, c), statements...)
	gone := c
	gone.ReplicaURL = minio.URL("no-such-bucket", "app")
	try(gone, statements...)
	damaged, err := minio.List(t.Context(), bucket, "apps/secret/0000/")
	if err != nil || len(damaged) == 0 {
		t.Fatalf("%d files: %v", len(damaged), err)
	}
	if err := minio.Put(t.Context(), bucket, damaged[0].Key, []byte("no LTX file"), nil); err != nil {
		t.Fatal(err)
	}
	fresh := c
	fresh.BufferPath, fresh.Hydration.Path = filepath.Join(dir, "log2"), filepath.Join(dir, "copy2.db")
	try(fresh, statements...)
	minio.Kill()
	try(c, statements...)

	if !strings.Contains(all.buf.String(), "apps/secret") || all.buf.Len() < 5000 {
		t.Fatalf("little was said: %s", all.buf.String())
	}
	secrets := []string{role.SecretKey, role.Token, wrong.SecretKey, minio.SecretKey, "X-Amz-Signature=", "AWS4-HMAC-SHA256 Credential="}
	look := func(where, text string) {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("a secret is in %s: …%s…", where, text[max(0, i-80):i])
			}
		}
	}
	look("what was said", all.buf.String())
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", path, info.Mode())
		}
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		look(path, string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
