package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/sandbox"
)

// Exit codes; "ltxctl help exit-codes" explains them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDamaged     = 4
	exitAccess      = 5
	exitUnavailable = 6
	exitUnknown     = 7
	exitTimeout     = 124
	exitInterrupted = 130
)

const exitCodesHelp = `Exit codes of ltxctl:

    0  success
    1  the statement or the command failed
    2  usage: an unknown command, flag, parameter or format, or a time that is
       none
    3  not found: no bucket, no replica, no such file, or a time or transaction
       that the replica does not hold
    4  damaged: files are missing, or hold what cannot be right; of verify: bad
    5  access denied: credentials are missing, wrong, or lack a right
    6  the store cannot be reached, or failed after retries; trying again may help
    7  of verify: it could not tell whether the replica is good
  124  the time of --timeout is over
  130  interrupted by Ctrl-C

compact --watch and restore --follow run until Ctrl-C, which is their good end
and exits with 0. Good is 0 for verify, bad 4, and could not tell 7.
`

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// reported is an error that has been shown already, as part of the output.
type reported struct{ code int }

func (e *reported) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// kind is a class of errors: the exit code, and what to do next.
type kind struct {
	is   func(error) bool
	code int
	next string
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// kinds are tried in order.
var kinds = []kind{
	{as[*usageError], exitUsage, ""},
	{as[*pitr.PhraseError], exitUsage, ""},
	{is(context.Canceled), exitInterrupted, ""},
	{is(sandbox.ErrTime), exitTimeout, "give it more with --timeout; a sandbox takes many times as long as a query without --sandbox"},
	{is(sandbox.ErrMemory), exitFailed, "give it more with --max-memory"},
	{is(sandbox.ErrRows), exitFailed, "allow more with --max-rows"},
	{is(sandbox.ErrBytes), exitFailed, "allow more with --max-bytes"},
	{is(sandbox.ErrFetch), exitFailed, "allow more with --max-fetch"},
	{is(context.DeadlineExceeded), exitTimeout, "give it more with --timeout, or find out what is slow with --stats"},
	{is(sqlrun.ErrParam), exitUsage, "give it as --param name=value"},
	{is(index.ErrNoReplica), exitNotFound, ""},
	{is(objstore.ErrNoBucket), exitNotFound, ""},
	{is(pitr.ErrOutside), exitNotFound, `"ltxctl info REPLICA" shows which moments can be opened`},
	{is(index.ErrNotReachable), exitNotFound, `"ltxctl info REPLICA" shows which moments can be opened`},
	{is(index.ErrGap), exitDamaged, `"ltxctl info REPLICA" shows what is missing`},
	{is(index.ErrCorrupt), exitDamaged, `"ltxctl verify REPLICA" tells all that is damaged, and "ltxctl restore REPLICA FILE --time …" restores a moment before it`},
	{is(index.ErrHistoryChanged), exitDamaged, "run the command again to read the new replica"},
	{is(index.ErrViewExpired), exitFailed, "run the command again: it will read a newer state"},
	{is(objstore.ErrAccess), exitAccess, `"ltxctl doctor REPLICA" goes through it step by step`},
	{is(objstore.ErrTemporary), exitUnavailable, `check the endpoint in the URL; "ltxctl doctor REPLICA" tries it step by step`},
	{is(restore.ErrExists), exitFailed, "--force replaces a database, and removes its -wal, -shm and -journal"},
	{is(restore.ErrInUse), exitFailed, ""},
	{is(restore.ErrNotOurs), exitFailed, "follow into another file, or restore this one anew with --force"},
	{is(compact.ErrMoved), exitFailed, "run the command again: it works from a new listing"},
	{is(compact.ErrConflict), exitDamaged, `"ltxctl verify REPLICA" tells which of the files is wrong`},
	{is(compact.ErrNotDeleted), exitFailed, `"ltxctl doctor REPLICA --write" tries the right to delete`},
	{is(compact.ErrNotEmpty), exitFailed, `"ltxctl list REPLICA" shows what is there`},
	{is(compact.ErrNoDatabase), exitFailed, ""},
	{is(objstore.ErrReadOnly), exitAccess, "this command writes; give the replica's s3:// or file: URL"},
	{is(objstore.ErrNotFound), exitNotFound, ""},
	{is(fs.ErrNotExist), exitNotFound, ""},
	{is(syscall.ENOSPC), exitFailed, "make room on that disk, or give a path on another one"},
	{is(objstore.ErrUnsupported), exitFailed, ""},
	{is(sandbox.ErrLimits), exitUsage, "limits are --max-memory, --max-rows, --max-bytes, --max-fetch and --timeout"},
	{is(sqlite3.READONLY), exitFailed, "a replica is opened read-only; change the database that Litestream replicates"},
	{is(sqlite3.TOOBIG), exitFailed, "a single value may have 48 MiB; select a part of it with substr"},
}

// classify returns the exit code for an error and what to do about it.
func classify(err error) (code int, next string) {
	if r, ok := errors.AsType[*reported](err); ok {
		return r.code, ""
	}
	code = exitFailed
	for _, k := range kinds {
		if k.is(err) {
			code, next = k.code, k.next
			break
		}
	}
	if g, ok := errors.AsType[*goOn](err); ok {
		next = g.next
	}
	return code, next
}

// message is the text for an error, without the prefixes of libraries.
func message(err error) string {
	switch code, _ := classify(err); code {
	case exitInterrupted:
		return "interrupted"
	case exitTimeout:
		return "out of time"
	}
	text := strings.TrimPrefix(err.Error(), "sandbox: ")
	return strings.TrimPrefix(strings.TrimPrefix(text, "sqlite3: "), "SQL logic error: ") // says nothing
}

// located is the message for an error, with the replica in front when that is what the error is about.
func (c *cli) located(err error) string {
	text, shown := message(err), displayURL(c.replica)
	if c.replica == "" || strings.Contains(text, shown) || !aboutReplica(err) {
		return text
	}
	return shown + ": " + text
}

// aboutReplica reports whether an error is about what was found at the replica's URL, and not about a flag, a file or the SQL.
func aboutReplica(err error) bool {
	switch code, _ := classify(err); code {
	case exitNotFound, exitDamaged, exitAccess, exitUnavailable:
		return !errors.Is(err, fs.ErrNotExist)
	case exitUsage, exitTimeout, exitInterrupted:
		return false
	}
	return as[*objstore.OpError](err) || errors.Is(err, compact.ErrNotEmpty)
}

// complete puts the replica's URL in the place of REPLICA, so that the command can be copied. One with parameters, which are not shown, or
// with what means something to a shell, remains for the user to fill in.
func (c *cli) complete(advice string) string {
	shown := displayURL(c.replica)
	if shown == "" || shown != c.replica || strings.ContainsAny(shown, " \t\"'`$&|;<>()*?[]#~%!\\") {
		return advice
	}
	return strings.ReplaceAll(advice, "REPLICA", shown)
}

// report writes an error to standard error and returns the exit code.
func (c *cli) report(err error) int {
	if err == nil {
		return exitOK
	}
	code, next := classify(err)
	if as[*reported](err) {
		return code
	}
	text := "ltxctl: " + c.located(err)
	screen := c.screen(c.stderr)
	if !as[*sqlrun.SyntaxError](err) {
		text = screen.Wrap(text, "")
	}
	fmt.Fprintln(c.stderr, text)
	if next != "" {
		fmt.Fprintln(c.stderr, screen.Wrap(c.complete(next), "        "))
	}
	return code
}
