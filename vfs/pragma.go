package vfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

const pragmaPrefix = "litestream_"

// noAnswer is an empty text: SQLite reads up to the zero. Of a string without any byte the driver makes no answer at all, and panics when it is
// asked for the name of its column.
const noAnswer = "\x00"

// pragma gets (value is empty) or sets something. The answer becomes one row.
type pragma func(f *file, ctx context.Context, value string) (string, error)

// pragmas are those of this package; Settings brings more.
var pragmas map[string]pragma

func init() { // not a literal: the functions refer to the table
	pragmas = map[string]pragma{
		"time":         (*file).pragmaTime,
		"txid":         (*file).pragmaTXID,
		"durable_txid": readOnly((*file).durableTXID),
		"sync":         readOnly((*file).syncNow),
		"pending":      readOnly((*file).pending),
		"wait_txid":    (*file).waitTXID,
		"lag":          readOnly((*file).lag),
		"data_age":     readOnly((*file).dataAge),
		"behind":       readOnly((*file).behind),
		"status":       readOnly((*file).status),

		"write_enabled": (*file).writeEnabled,
		"acquire_lease": readOnly((*file).acquireLease),
		"release_lease": readOnly((*file).releaseLease),

		"hydration_progress": readOnly((*file).hydrationProgress),
		"hydration_file":     readOnly((*file).hydrationFile),
		"hydrate":            (*file).hydrate,
	}
}

// Pragma implements PRAGMA litestream_…; everything else is SQLite's. SQLite calls it when it prepares the statement.
func (f *file) Pragma(name, value string) (string, error) {
	short, ok, err := ourName(name)
	switch {
	case !ok:
		return f.sqlitePragma(name, value)
	case err != nil:
		return "", err
	}
	out, err := f.pragma(f.context(), short, value)
	switch {
	case err == nil && out == "":
		return noAnswer, nil
	case err == nil:
		return out, nil
	case interrupted(err) && f.context().Err() != nil:
		return "", f.fail("pragma "+name, err)
	}
	f.cause = err
	return "", fmt.Errorf("%s: %w", name, err)
}

func (f *file) pragma(ctx context.Context, name, value string) (string, error) {
	if fn, ok := pragmas[name]; ok {
		return fn(f, ctx, value)
	}
	current, ok := f.db.Get(name)
	switch {
	case !ok:
		known := f.db.Names()
		for name := range pragmas {
			known = append(known, name)
		}
		slices.Sort(known)
		return "", fmt.Errorf("no such pragma; the nearest is %s%s", pragmaPrefix, nearest.Name(name, known))
	case value == "":
		return current, nil
	}
	if err := f.db.Set(name, value); err != nil {
		return "", err
	}
	current, _ = f.db.Get(name)
	return current, nil
}

// readOnly makes a pragma of something that can only be asked for.
func readOnly(get func(f *file, ctx context.Context) (string, error)) pragma {
	return func(f *file, ctx context.Context, value string) (string, error) {
		if value != "" {
			return "", fmt.Errorf("cannot be set; leave %q out", value)
		}
		return get(f, ctx)
	}
}

// errInTransaction: the View of a transaction never changes.
var errInTransaction = errors.New("cannot change inside a transaction; end it first")

func (f *file) inTransaction() bool {
	return f.lock != 0 || f.conn != nil && !f.conn.GetAutocommit()
}

// pragmaTime gets or sets the moment that the connection reads.
func (f *file) pragmaTime(ctx context.Context, value string) (string, error) {
	if value == "" {
		if f.past == nil {
			return "latest", nil
		}
		return formatTime(f.past.View.Time), nil
	}
	if f.inTransaction() {
		return "", errInTransaction
	}
	if err := f.setTime(ctx, value); err != nil {
		return "", err
	}
	return f.pragmaTime(ctx, "")
}

func (f *file) setTime(ctx context.Context, when string) error {
	v, err := f.db.At(ctx, when)
	if err != nil {
		return err
	}
	f.travel(v, when)
	return nil
}

// travel makes the connection read v from now on, or the newest state when it is nil.
func (f *file) travel(v *index.View, when string) {
	if v == nil {
		f.past, f.when = nil, ""
		return
	}
	f.past, f.when = new(SnapshotOf(v)), when
}

// pragmaTXID gets the TXID that the connection reads, or sets it as litestream_time sets a time.
func (f *file) pragmaTXID(ctx context.Context, value string) (string, error) {
	if value != "" {
		if f.inTransaction() {
			return "", errInTransaction
		}
		if err := f.setTXID(ctx, value); err != nil {
			return "", err
		}
	}
	s, err := f.reading(ctx)
	if err != nil {
		return "", err
	}
	return s.txid().String(), nil
}

func (f *file) setTXID(ctx context.Context, text string) error {
	if text == "latest" {
		f.travel(nil, "")
		return nil
	}
	txid, err := parseTXID(text)
	if err != nil {
		return err
	}
	v, err := f.db.AtTXID(ctx, txid)
	if err != nil {
		return err
	}
	f.travel(v, "txid "+text)
	return nil
}

// parseTXID reads a TXID as it is always written: hexadecimal, leading zeros optional.
func parseTXID(text string) (index.TXID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("txid %q is not one; it is up to 16 hexadecimal digits, like 000000000000002a, or latest", text)
	}
	return index.TXID(n), nil
}

// durableTXID is the newest TXID known to be in the bucket.
func (f *file) durableTXID(ctx context.Context) (string, error) {
	if f.db.Writable() {
		return f.db.Durable().String(), nil
	}
	s, err := f.db.Newest(ctx)
	if err != nil {
		return "", err
	}
	return s.txid().String(), nil
}

// waitTXID waits until a TXID can be read.
func (f *file) waitTXID(ctx context.Context, value string) (string, error) {
	txid, err := parseTXID(value)
	if err != nil {
		return "", err
	}
	if f.inTransaction() {
		return "", errInTransaction
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, waitDeadline)
		defer cancel()
	}
	if err := f.db.Wait(ctx, txid); err != nil {
		return "", err
	}
	return f.durableTXID(ctx)
}

// lag is the seconds since the last poll that ended well. Who asks is about to read: when nobody has for long, that makes a poll. How it ends the
// lag tells.
func (f *file) lag(ctx context.Context) (string, error) {
	if _, err := f.db.Newest(ctx); err != nil && ctx.Err() != nil {
		return "", err
	}
	return seconds(f.db.State().Lag(time.Now())), nil
}

// dataAge is the age in seconds of the newest transaction that the connection reads.
func (f *file) dataAge(ctx context.Context) (string, error) {
	s, err := f.reading(ctx)
	if err != nil || s.View == nil {
		return "", err
	}
	return seconds(time.Since(s.View.Time)), nil
}

// behind is how many TXIDs are known to be in the bucket that the connection does not read.
func (f *file) behind(ctx context.Context) (string, error) {
	s, err := f.reading(ctx)
	if err != nil {
		return "", err
	}
	known := max(f.db.State().Known, s.txid())
	return strconv.FormatUint(uint64(known-s.txid()), 10), nil
}

func (f *file) status(ctx context.Context) (string, error) {
	s, err := f.reading(ctx)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(f.db.Status(Position{Snapshot: s, Time: f.when, Err: f.cause}))
	return string(b), err
}

// hydrationProgress is the share of the database that is in the local copy, in per cent; 0 without one.
func (f *file) hydrationProgress(context.Context) (string, error) {
	percent, _ := f.db.Hydration()
	return formatPercent(percent), nil
}

// formatPercent writes 100 only for all.
func formatPercent(percent float64) string {
	return strconv.FormatFloat(math.Floor(percent*100)/100, 'f', -1, 64)
}

// hydrationFile is the path of the local copy: no row when there is none.
func (f *file) hydrationFile(context.Context) (string, error) {
	_, file := f.db.Hydration()
	return file, nil
}

// hydrate begins to make everything local, or waits until it is. It returns how far that is.
func (f *file) hydrate(ctx context.Context, value string) (string, error) {
	var tables []string
	list, ok := strings.CutPrefix(value, "tables=")
	switch {
	case ok && list != "":
		for name := range strings.SplitSeq(list, ",") {
			tables = append(tables, strings.TrimSpace(name))
		}
	case value == "" || value == "start" || value == "wait":
	default:
		return "", fmt.Errorf("%q is nothing to do; it is start, wait, or tables=NAME,NAME", value)
	}
	if value != "" {
		if err := f.db.Hydrate(tables); err != nil {
			return "", err
		}
	}
	if value == "wait" {
		if err := f.db.WaitHydrated(ctx); err != nil {
			return "", err
		}
	}
	return f.hydrationProgress(ctx)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(max(d, 0).Seconds(), 'f', 3, 64) }

// formatTime writes a time as LTX files know it, to the millisecond.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
