package sample

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/litefs-s3/litefs-s3/integration/filecache"
	"github.com/ncruces/go-sqlite3"
)

// version changes whenever the same Options give another file than before.
const version = 1

// epoch is created_at of the first row, in Unix seconds.
const epoch = 1_700_000_000

const schema = `
CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL);
CREATE TABLE posts(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
	created_at INTEGER NOT NULL);
CREATE TABLE likes(user_id INTEGER NOT NULL, post_id INTEGER NOT NULL, PRIMARY KEY(user_id, post_id)) WITHOUT ROWID;
`

const indexes = `
CREATE INDEX posts_user ON posts(user_id);
CREATE INDEX posts_created ON posts(created_at);
`

// Options say which sample is meant.
type Options struct {
	// Posts is the number of rows in posts. Users are Posts/18, likes about six times Posts, and for each post the file
	// has about 600 bytes. Zero means 180,000, which is 109 MB.
	Posts int
	// PageSize is SQLite's, in bytes. Zero means 4096.
	PageSize int
	// Seed picks the rows. Zero means 1.
	Seed uint64
}

func (o Options) withDefaults() Options {
	if o.Posts == 0 {
		o.Posts = 180_000
	}
	if o.PageSize == 0 {
		o.PageSize = 4096
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}

// users is the number of rows in users.
func (o Options) users() int { return max(1, o.Posts/18) }

// likesPerUser is the number of likes drawn for each user; a few are drawn twice and count once.
func (o Options) likesPerUser() int { return max(1, o.Posts*6/o.users()) }

// Cached returns the path of the sample in the user's cache directory and builds it if it is not there, which takes
// half a minute for 1 GB. Copy it before changing it.
func Cached(ctx context.Context, opts Options) (string, error) {
	opts = opts.withDefaults()
	name := fmt.Sprintf("samples/v%d/posts=%d-page=%d-seed=%d.db", version, opts.Posts, opts.PageSize, opts.Seed)
	return filecache.File(ctx, name, func(ctx context.Context, tmp string) error { return Build(ctx, tmp, opts) })
}

// Build writes the sample to a new file at path, in rollback-journal mode. After an error the file is useless.
func Build(ctx context.Context, path string, opts Options) (err error) {
	opts = opts.withDefaults()
	conn, err := sqlite3.OpenContext(ctx, fileURI(path))
	if err != nil {
		return fmt.Errorf("sample database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// No journal, no sync: nobody wants half a sample. Everything is inserted in key order, so pages come out full.
	setup := fmt.Sprintf(`PRAGMA page_size=%d; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
		PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-100000; PRAGMA foreign_keys=OFF; BEGIN;`, opts.PageSize)
	if err := conn.Exec(setup + schema); err != nil {
		return fmt.Errorf("sample schema: %w", err)
	}
	rng := rand.New(rand.NewPCG(opts.Seed, 1))
	b := builder{conn: conn, opts: opts, rng: rng, words: newWords(rng)}
	if err := errors.Join(b.users(), b.posts(), b.likes()); err != nil {
		return fmt.Errorf("sample rows: %w", err)
	}
	if err := conn.Exec(indexes + "COMMIT"); err != nil {
		return fmt.Errorf("sample indexes: %w", err)
	}
	return nil
}

// builder fills the tables, one after another: the order of random draws is part of the format.
type builder struct {
	conn  *sqlite3.Conn
	opts  Options
	rng   *rand.Rand
	words words
	buf   []byte
}

func (b *builder) users() error {
	return b.insert("INSERT INTO users VALUES(?,?,?,?)", func(in *inserter) {
		for i := 1; i <= b.opts.users(); i++ {
			in.int(i)
			in.text(b.text(10))
			in.text(fmt.Appendf(nil, "%x.%d@example.org", b.rng.Uint32(), i))
			in.int(epoch + i)
			in.row()
		}
	})
}

func (b *builder) posts() error {
	users := b.opts.users()
	return b.insert("INSERT INTO posts VALUES(?,?,?,?,?)", func(in *inserter) {
		for i := 1; i <= b.opts.Posts; i++ {
			in.int(i)
			in.int(1 + b.rng.IntN(users))
			in.text(b.text(30 + b.rng.IntN(25)))
			in.text(b.text(320 + b.rng.IntN(160)))
			in.int(epoch + i*7)
			in.row()
		}
	})
}

func (b *builder) likes() error {
	liked := make([]int, b.opts.likesPerUser())
	return b.insert("INSERT INTO likes VALUES(?,?)", func(in *inserter) {
		for user := 1; user <= b.opts.users(); user++ {
			for i := range liked {
				liked[i] = 1 + b.rng.IntN(b.opts.Posts)
			}
			slices.Sort(liked)
			for i, post := range liked {
				if i > 0 && post == liked[i-1] {
					continue
				}
				in.int(user)
				in.int(post)
				in.row()
			}
		}
	})
}

// text returns n bytes of text or a word more. It is valid until the next call.
func (b *builder) text(n int) []byte {
	b.buf = b.words.append(b.rng, b.buf[:0], n)
	return b.buf
}

// insert prepares the statement and lets fill execute it for many rows.
func (b *builder) insert(sql string, fill func(*inserter)) error {
	stmt, _, err := b.conn.Prepare(sql)
	if err != nil {
		return err
	}
	in := &inserter{stmt: stmt}
	fill(in)
	return errors.Join(in.err, stmt.Close())
}

// inserter binds values to a statement from left to right. It does nothing more after its first error.
type inserter struct {
	stmt *sqlite3.Stmt
	col  int
	err  error
}

func (in *inserter) int(v int) {
	in.col++
	if in.err == nil {
		in.err = in.stmt.BindInt64(in.col, int64(v))
	}
}

func (in *inserter) text(v []byte) {
	in.col++
	if in.err == nil {
		in.err = in.stmt.BindRawText(in.col, v)
	}
}

func (in *inserter) row() {
	in.col = 0
	if in.err == nil {
		in.err = in.stmt.Exec()
	}
}

// Copy makes dst a copy of the file src. src must not be in use by a writer; see [Image] for a database that is.
func Copy(dst, src string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
