package integration

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// bucket is a bucket on MinIO to spoil.
type bucket struct {
	t    *testing.T
	s3   servers.S3
	name string
}

// good writes a small replica with a few transactions under a prefix, and returns its primary.
func (b *bucket) good(prefix string) *primary.Primary {
	b.t.Helper()
	p := primary.New(b.t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE t(x)")
	p.Sync()
	for range 4 {
		p.Exec("INSERT INTO t VALUES (hex(randomblob(500)))")
		p.Sync()
	}
	objects, err := objstore.ListAll(b.t.Context(), p.Store, "", "")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, o := range objects {
		part, err := p.Store.ReadPrefix(b.t.Context(), objstore.Ref{Key: o.Key}, 1<<20)
		if err != nil {
			b.t.Fatal(err)
		}
		b.put(path.Join(prefix, o.Key), part.Data)
	}
	return p
}

func (b *bucket) put(key string, data []byte) {
	b.t.Helper()
	if err := b.s3.Put(b.t.Context(), b.name, key, data, nil); err != nil {
		b.t.Fatal(err)
	}
}

// change rewrites an object.
func (b *bucket) change(key string, fn func([]byte) []byte) {
	b.t.Helper()
	data, err := b.s3.Get(b.t.Context(), b.name, key)
	if err != nil {
		b.t.Fatal(err)
	}
	b.put(key, fn(data))
}

func level0(txid index.TXID) string { return (&index.File{Min: txid, Max: txid}).Key() }

// TestBadInput: whatever is wrong, a clear error within a deadline that names the object or setting and the next step, without a secret.
func TestBadInput(t *testing.T) {
	minio := servers.StartMinIO(t)
	minio.SetEnv(t)
	const secret = "hunter2hunter2hunter2"
	for _, c := range []struct {
		name  string
		spoil func(b *bucket) litefss3.Config
		query string // "" is only opening
		want  []string
	}{
		{"empty prefix", func(b *bucket) litefss3.Config {
			return litefss3.Config{ReplicaURL: "s3://" + b.name + "?endpoint=" + b.s3.Endpoint}
		}, "", []string{"a path is required", "s3://bucket/app"}},
		{"missing bucket", func(b *bucket) litefss3.Config {
			return litefss3.Config{ReplicaURL: b.s3.URL("no-such-bucket-here", "app")}
		}, "", []string{"bucket", "app"}},
		{"no replica", func(b *bucket) litefss3.Config {
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "nothing/here")}
		}, "", []string{"no replica", "check bucket and path"}},
		{"prefix one folder too short", func(b *bucket) litefss3.Config {
			b.good("apps/shop")
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "apps")}
		}, "", []string{`"shop"`}},
		{"layout of v0.3", func(b *bucket) litefss3.Config {
			b.put("old/generations/0123456789abcdef/snapshots/00000000.snapshot.lz4", []byte("x"))
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "old")}
		}, "", []string{"v0.3", "restore"}},
		{"wrong secret", func(b *bucket) litefss3.Config {
			b.good("app")
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app"), S3: func(c *s3store.Config) {
				c.AccessKeyID, c.SecretAccessKey = b.s3.AccessKey, secret
			}}
		}, "", []string{"access denied"}},
		{"unknown access key", func(b *bucket) litefss3.Config {
			b.good("app")
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app"), S3: func(c *s3store.Config) {
				c.AccessKeyID, c.SecretAccessKey = "nobody-by-that-name", secret
			}}
		}, "", []string{"access denied"}},
		{"no right to list", func(b *bucket) litefss3.Config {
			b.good("app")
			if err := b.s3.AllowAnonymous(b.t.Context(), b.name, "s3:GetObject"); err != nil {
				b.t.Fatal(err)
			}
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app") + "&anonymous=true"}
		}, "", []string{"list", "access denied"}},
		{"hole in the chain", func(b *bucket) litefss3.Config {
			b.good("app")
			if err := b.s3.Delete(b.t.Context(), b.name, "app/"+level0(3)); err != nil {
				b.t.Fatal(err)
			}
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "", []string{"0000000000000003", "txid=0000000000000002"}},
		{"truncated object", func(b *bucket) litefss3.Config {
			b.good("app")
			b.change("app/"+level0(4), func(data []byte) []byte { return data[:len(data)-40] })
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "", []string{"corrupt", "L0/0000000000000004"}},
		{"empty object", func(b *bucket) litefss3.Config {
			b.good("app")
			b.put("app/"+level0(4), nil)
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "", []string{"corrupt", "L0/0000000000000004"}},
		{"damaged header", func(b *bucket) litefss3.Config {
			b.good("app")
			b.change("app/"+level0(4), func(data []byte) []byte { data[20] ^= 1; return data })
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "", []string{"corrupt", "L0/0000000000000004", "header"}},
		{"damaged page", func(b *bucket) litefss3.Config {
			b.good("app")
			b.change("app/"+level0(1), func(data []byte) []byte { data[ltx.HeaderSize+3]++; return data }) // pgno of page 1
			for txid := index.TXID(2); txid <= 5; txid++ {                                                 // all that hold page 1 as well
				if err := b.s3.Delete(b.t.Context(), b.name, "app/"+level0(txid)); err != nil {
					b.t.Fatal(err)
				}
			}
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "SELECT count(*) FROM t", []string{"corrupt", "page 1", "L0/0000000000000001"}},
		{"page size that changes", func(b *bucket) litefss3.Config {
			b.good("app")
			data, err := primary.Encode(ltx.Header{Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 1024, Commit: 9,
				MinTXID: 6, MaxTXID: 6, Timestamp: time.Now().UnixMilli(), WALOffset: 32}, map[uint32][]byte{1: make([]byte, 1024)})
			if err != nil {
				b.t.Fatal(err)
			}
			b.put("app/"+level0(6), data)
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "", []string{"1024", "4096", "one page size"}},
		{"time before the window", func(b *bucket) litefss3.Config {
			b.good("app")
			return litefss3.Config{ReplicaURL: b.s3.URL(b.name, "app")}
		}, "PRAGMA litestream_time = '2001-01-01'", []string{"before the first moment", time.Now().UTC().Format("2006-01-02")}},
		{"endpoint that hangs", func(b *bucket) litefss3.Config {
			proxy, err := slowproxy.New(b.s3.Endpoint)
			if err != nil {
				b.t.Fatal(err)
			}
			b.t.Cleanup(func() { proxy.Close() })
			proxy.Set(slowproxy.Settings{HangRate: 1})
			s3 := b.s3
			s3.Endpoint = proxy.URL()
			return litefss3.Config{ReplicaURL: s3.URL(b.name, "app"), OpenTimeout: 2 * time.Second}
		}, "", []string{"list", "deadline"}},
		{"endpoint that nobody listens on", func(b *bucket) litefss3.Config {
			s3 := b.s3
			s3.Endpoint = "http://127.0.0.1:1"
			return litefss3.Config{ReplicaURL: s3.URL(b.name, "app"), OpenTimeout: 3 * time.Second}
		}, "", []string{"127.0.0.1:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := c.spoil(&bucket{t, minio.S3, minio.Bucket(t)})
			db, err := litefss3.OpenDB(conf)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			said := complaint(ctx, db, c.query)
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("got %q\nwant %q in it", said, want)
				}
			}
			for _, s := range []string{secret, minio.SecretKey, "Signature=", "X-Amz-"} {
				if strings.Contains(said, s) {
					t.Errorf("%q is in the error: %s", s, said)
				}
			}
		})
	}
}

// complaint returns what is said when the database is opened and the query is run: the error, and its cause.
func complaint(ctx context.Context, db *sql.DB, query string) string {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if query == "" {
		query = "SELECT count(*) FROM sqlite_schema"
	}
	var s string
	err = conn.QueryRowContext(ctx, query).Scan(&s)
	if err == nil {
		return fmt.Sprintf("no complaint; the answer is %q", s)
	}
	var out bytes.Buffer
	fmt.Fprint(&out, err, "; because of: ", litefss3.Cause(conn, "main"))
	return out.String()
}
